"""How hard a request looks beside others, from 0 to 1, by its length, its task and what it carries.

Owns: the sum of what `data/difficulty.toml` says, and its rank among ordinary requests.
Must not: read words; claim to know: see what the data file says of its worth.
"""

import math
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import msgspec

from engines.words import counted
from gateway.classify.counting import KINDS, Counts
from gateway.classify.shape import Shape
from gateway.domain import Reason, Why

_MOST_TURNS = 8
_CARRIED = ("tools", "json_schema", "images")
# Of two requests of which a small model answers one wrongly, how often that one looks the harder.
_WORTH = 0.6
_MOST_WORDS = 300  # beyond, it is a document that is long
_SIGNS_PER_WORD = {"han": 1.5, "kana": 2.0, "thai": 4.0}  # of scripts without spaces


class Difficulty(msgspec.Struct, frozen=True):
    """The share of ordinary requests that look easier; how far to trust that; and why."""

    value: float
    confidence: float
    reason: Why


NOTHING_TELLS = Difficulty(0.5, 0.0, "there is no text")


class DifficultyFinder:
    """Built once: it reads its data. Safe from any thread."""

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        self._data = data if data is not None else _packaged()
        at = {kind: place for place, kind in enumerate(KINDS)}
        self._ascii_words, self._spaces = at["words"], at["spaces"]
        self._unspaced = [(at[kind], signs) for kind, signs in _SIGNS_PER_WORD.items()]
        signs: dict[str, dict[str, float]] = self._data["signs"]
        self._signs = [(at[kind], one["each"], one["most"]) for kind, one in signs.items()]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that count for or against."""
        return tuple(self._data["tasks"])

    def find(self, newest: Counts, task: str, earlier_turns: int, shape: Shape) -> Difficulty:
        """Return how hard a request looks; `newest` is what its newest turn is made of."""
        if not newest.values[-1]:
            return NOTHING_TELLS
        asked = newest, task, earlier_turns, shape
        ordinary = self._data["ordinary"]
        off = (self.sum_of(*asked) - ordinary["middle"]) / ordinary["spread"]
        value = round(1 / (1 + math.exp(-off)), 2)
        return Difficulty(value, _WORTH, Reason(self._told, (value, *asked)))

    def sum_of(self, newest: Counts, task: str, earlier_turns: int, shape: Shape) -> float:
        """Return the sum before it becomes a rank."""
        return sum(self._parts(newest, task, earlier_turns, shape))

    def _parts(self, newest: Counts, task: str, earlier_turns: int, shape: Shape) -> list[float]:
        """Return what each thing that counts adds to the sum; `_told` names them."""
        data, values, carried = self._data, newest.values, self._data["carried"]
        signs = 0.0
        for place, each, most in self._signs:
            signs += each * min(values[place], most)
        return [
            data["doubling"] * math.log2(1 + self._words(values)),
            data["tasks"].get(task, 0.0),
            signs,
            carried["earlier_turn"] * min(earlier_turns, _MOST_TURNS),
            *(carried[name] * getattr(shape, name) for name in _CARRIED),
        ]

    def _told(
        self, value: float, newest: Counts, task: str, earlier_turns: int, shape: Shape
    ) -> str:
        words = counted(round(self._words(newest.values)), "word")
        names = (words, f"task {task}", "numbers, lines and symbols", "earlier turns", *_CARRIED)
        parts = dict(zip(names, self._parts(newest, task, earlier_turns, shape), strict=True))
        telling = sorted(parts, key=lambda name: -abs(parts[name]))[:3]
        why = ", ".join(f"{name} {parts[name]:+.1f}" for name in telling if parts[name])
        return f"{why}; harder than {value:.0%} of ordinary requests"

    def _words(self, values: tuple[float, ...]) -> float:
        """Return about how many words a text has, in whatever script."""
        spaced = max(values[self._ascii_words], values[self._spaces])
        unspaced = sum(values[place] / signs for place, signs in self._unspaced)
        return min(_MOST_WORDS, spaced + unspaced)


def _packaged() -> Mapping[str, Any]:
    place = files("gateway.classify") / "data" / "difficulty.toml"
    return tomllib.loads(place.read_text(encoding="utf-8"))
