"""How hard a request looks beside others, from 0 to 1, by its length, its task and what it carries.

Owns: the sum of what `data/difficulty.toml` says, and its rank among ordinary requests.
Must not: read words; claim to know: see what the data file says of its worth.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from gateway.classify.counting import KINDS, Counts
from gateway.classify.shape import Shape

_MOST_TURNS = 8
# Of two requests of which a small model answers one wrongly, how often that one looks the harder.
_WORTH = 0.6
_MOST_WORDS = 300  # beyond, it is a document that is long
_SIGNS_PER_WORD = {"han": 1.5, "kana": 2.0, "thai": 4.0}  # of scripts without spaces


@dataclass(frozen=True, slots=True)
class Difficulty:
    """The share of ordinary requests that look easier; how far to trust that; and why."""

    value: float
    confidence: float
    reason: str


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
        parts = self._parts(newest, task, earlier_turns, shape)
        ordinary = self._data["ordinary"]
        off = (sum(parts.values()) - ordinary["middle"]) / ordinary["spread"]
        value = round(1 / (1 + math.exp(-off)), 2)
        telling = sorted(parts, key=lambda name: -abs(parts[name]))[:3]
        why = ", ".join(f"{name} {parts[name]:+.1f}" for name in telling if parts[name])
        return Difficulty(value, _WORTH, f"{why}; harder than {value:.0%} of ordinary requests")

    def sum_of(self, newest: Counts, task: str, earlier_turns: int, shape: Shape) -> float:
        """Return the sum before it becomes a rank."""
        return sum(self._parts(newest, task, earlier_turns, shape).values())

    def _parts(
        self, newest: Counts, task: str, earlier_turns: int, shape: Shape
    ) -> dict[str, float]:
        data, values = self._data, newest.values
        words = self._words(values)
        carried = data["carried"]
        signs = sum(each * min(values[place], most) for place, each, most in self._signs)
        found = {
            f"{words:.0f} words": data["doubling"] * math.log2(1 + words),
            f"task {task}": data["tasks"].get(task, 0.0),
            "numbers, lines and symbols": signs,
            "earlier turns": carried["earlier_turn"] * min(earlier_turns, _MOST_TURNS),
        }
        for name in ("tools", "json_schema", "images"):
            found[name] = carried[name] * getattr(shape, name)
        return found

    def _words(self, values: tuple[float, ...]) -> float:
        """Return about how many words a text has, in whatever script."""
        spaced = max(values[self._ascii_words], values[self._spaces])
        unspaced = sum(values[place] / signs for place, signs in self._unspaced)
        return min(_MOST_WORDS, spaced + unspaced)


def _packaged() -> Mapping[str, Any]:
    place = files("gateway.classify") / "data" / "difficulty.toml"
    return tomllib.loads(place.read_text(encoding="utf-8"))
