"""The names of everything in a text that the linear model of tasks may know.

Owns: which words, pairs of words and signs of scripts without spaces become features, and where.
Must not: know weights. What changes here asks for `make task-model`.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from gateway.classify.phrases import Phrases, Said
from gateway.classify.reading import Text
from gateway.classify.signs import Signs, shape_of

_HEAD_WORDS = 60  # of all the prose
_TAIL_WORDS = 40
_ASKED_HEAD = 36  # of the instruction, whose words count in pairs too
_ASKED_TAIL = 10
_STEM = 5
_STEMMED = 7  # a shorter word is its own stem
# Thai to Khmer, kana, Han, Hangul: no spaces, or words that end in many ways.
_RUN = re.compile("[\u0e00-\u1dff\u3000-\ud7ff\uf900-\ufaff]+")
_RUN_SIGNS = 60  # at each end
_EDGE_SIGNS = (2, 3, 4)


def features_of(
    text: Text, whole: str, signs: Signs, phrases: Phrases, said: Said | None
) -> set[str]:
    """Return the features of a text; `whole` is its prose as `plain` returns it."""
    found = set(shape_of(text, signs))
    found.update(phrases.names())
    found.add("@says nothing" if said is None else f"@says {said.task}")
    spaced, asked = whole, text.asked
    if not whole.isascii() and _RUN.search(whole):
        found.update(_signs_in(whole, asked.strip()))
        spaced, asked = _RUN.sub(" ", whole), _RUN.sub(" ", asked)
    words = _ends(spaced.split(), _HEAD_WORDS, _TAIL_WORDS)
    found.update(words)
    found.update([f"{word[:_STEM]}~" for word in words if len(word) >= _STEMMED])
    words = _ends(asked.split(), _ASKED_HEAD, _ASKED_TAIL)
    found.update(map(" ".join, pairwise(words)))
    if words:
        found.update(_edges(words))
    return found


def _ends(words: list[str], head: int, tail: int) -> list[str]:
    return words if len(words) <= head + tail else words[:head] + words[-tail:]


def _edges(words: Sequence[str]) -> Iterator[str]:
    yield f"^{words[0]}"
    yield f"^{words[0][:_STEM]}~"
    yield f"{words[-1]}$"
    if len(words) > 1:
        yield f"^{words[0]} {words[1]}"
        yield f"{words[-2]} {words[-1]}$"


def _signs_in(whole: str, asked: str) -> Iterator[str]:
    """Yield pairs and triples of signs, and what the instruction opens and ends with."""
    signs = "".join(_RUN.findall(whole))
    if len(signs) > 2 * _RUN_SIGNS:
        signs = f"{signs[:_RUN_SIGNS]}{signs[-_RUN_SIGNS:]}"
    yield from map("".join, pairwise(signs))
    yield from map("".join, zip(signs, signs[1:], signs[2:], strict=False))
    for length in _EDGE_SIGNS:
        yield f"^{asked[:length]}"
        yield f"{asked[-length:]}$"


def spoken(feature: str) -> str:
    """Return a feature's name as a person would say it."""
    kind, rest = feature[0], feature[1:]
    if kind == "#":
        return rest if rest.startswith("it ") else f"its form ({rest})"
    if kind == "@":
        return f"its phrases ({rest})"
    if kind == "^" and rest:
        return f"its opening '{rest}'"
    if feature.endswith("$") and kind != "$":
        return f"its end '{feature[:-1]}'"
    return f"'{feature}'"
