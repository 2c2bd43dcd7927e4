"""Pictures in a prompt: what a model sees of them, and where they stand among the tokens.

Owns: the numbers that stand for a picture's tokens, the positions that pictures take.
Must not: read images (`sight`), or evaluate.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_WORD = 4
_LARGEST = (1 << 31) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What a model sees of an image, or of a part of one.

    `vectors` [tokens, width] stand where tokens of text have theirs, at `places` [1 or 4, tokens]
    counted from where the picture begins; what comes behind it begins `steps` positions later.
    `ids` are numbers below 0, the same for the same image alone: so prompts compare as tokens do.
    `whole`: its tokens see each other, so that they are evaluated in one batch.
    """

    ids: tuple[int, ...]
    vectors: npt.NDArray[np.float32]
    places: npt.NDArray[np.int32]
    steps: int
    whole: bool


# What stands for an image, by its URL: tokens of text around it, and what is seen of it.
Part: TypeAlias = tuple[int, ...] | Picture
Seen: TypeAlias = Mapping[str, tuple[Part, ...]]


def pictures_in(seen: Seen) -> list[Picture]:
    """Return every picture of what was seen."""
    return [part for parts in seen.values() for part in parts if isinstance(part, Picture)]


def tokens_of(parts: Sequence[Part]) -> list[int]:
    """Return the tokens that stand for an image in a prompt."""
    return [token for part in parts for token in (part.ids if isinstance(part, Picture) else part)]


def ids_of(image: bytes, part: int, count: int) -> tuple[int, ...]:
    """Return the numbers that stand for a part of an image of so many tokens."""
    seed = hashlib.sha256(image).digest() + part.to_bytes(4, "little")
    noise = hashlib.shake_256(seed).digest(_WORD * count)
    words = np.frombuffer(noise, dtype="<u4") & _LARGEST
    return tuple((-1 - words.astype(np.int64)).tolist())


def is_text(token: int) -> bool:
    """Say whether a token is one of the vocabulary, and no part of a picture."""
    return token >= 0


class Layout:
    """Where pictures stand in a prompt. Reads only."""

    def __init__(self, placed: Mapping[int, Picture] | None = None) -> None:
        self._starts = sorted(placed or ())
        self._pictures = [(placed or {})[start] for start in self._starts]

    def __bool__(self) -> bool:
        return bool(self._starts)

    def position(self, index: int) -> int:
        """Return the position of a token; inside a picture, that at which the picture begins."""
        if not self._starts:
            return index
        shift = 0
        for start, picture in zip(self._starts, self._pictures, strict=True):
            if index < start + len(picture.ids):
                return min(index, start) - shift
            shift += len(picture.ids) - picture.steps
        return index - shift

    def whole(self, length: int) -> int:
        """Return how many first tokens there are at most, of so many, that end in no picture."""
        at = self._under(length)
        return length if at is None else self._starts[at]

    def ahead(self, index: int, end: int) -> int:
        """Return how many tokens of text follow from `index` to the next picture or to `end`."""
        if self._under(index, inside=False) is not None:
            return 0
        at = bisect_right(self._starts, index)
        return (self._starts[at] if at < len(self._starts) else end) - index

    def next(self, index: int) -> tuple[Picture, int] | None:
        """Return the picture of which token `index` is, and how many of its tokens come before."""
        at = self._under(index, inside=False)
        return None if at is None else (self._pictures[at], index - self._starts[at])

    def _under(self, index: int, *, inside: bool = True) -> int | None:
        """Return which picture a token is of; `inside`: and not its first."""
        at = bisect_right(self._starts, index) - 1
        if at < 0 or index >= self._starts[at] + len(self._pictures[at].ids):
            return None
        return None if inside and index == self._starts[at] else at


NO_PICTURES = Layout()


def laid_out(prompt: Sequence[int], pictures: Sequence[Picture]) -> Layout:
    """Return where pictures stand in a prompt that has their `ids`."""
    if not pictures:
        return NO_PICTURES
    known = {picture.ids[0]: picture for picture in pictures}
    placed: dict[int, Picture] = {}
    at = 0
    while at < len(prompt):
        if is_text(prompt[at]):
            at += 1
        else:
            placed[at] = known[prompt[at]]
            at += len(placed[at].ids)
    return Layout(placed)
