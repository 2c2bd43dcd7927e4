"""DRY: what would go on repeating the text costs more, the longer the repetition already is.

Owns: where the end of a text stood in it before, and what its continuation costs.
Must not: draw, or know text: which tokens break a repetition it is told.
"""

import math
from array import array
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# A repetition is followed no further than this: it costs enough.
_LONGEST = 256
# Beyond any logit; more would overflow.
_MOST = 1e30
_LOG_LARGEST_FLOAT32 = 88.7


@dataclass(frozen=True, slots=True)
class Dry:
    """What repeating costs.

    A token that would go on a repetition of n tokens, `allowed_length` of them or more, costs
    `multiplier * base ** (n - allowed_length)`. Only the last `last_n` tokens count, all where it
    is negative. No repetition reaches over one of the `breakers`, and these never cost anything.
    Nor does one reach over a text that several tokens make together: `breaks` says of tokens and a
    number whether such a text ends with so many of them.
    """

    multiplier: float
    base: float = 1.75
    allowed_length: int = 2
    last_n: int = -1
    breakers: Container[int] = frozenset()
    breaks: Callable[[Sequence[int], int], bool] = lambda _tokens, _place: False


class Repetition:
    """One text as it grows. Mutable; belongs to one sampler."""

    def __init__(self, dry: Dry, prompt: Sequence[int]) -> None:
        self._dry = dry
        self._tokens = array("i", prompt)
        most = min(len(prompt), _LONGEST)
        places = range(len(prompt), len(prompt) - most, -1)
        self._unbroken = next((at for at, end in enumerate(places) if self._breaks(end)), most)

    def add(self, token: int) -> None:
        """Go on by a token."""
        self._tokens.append(token)
        self._unbroken = 0 if self._breaks(len(self._tokens)) else self._unbroken + 1

    def _breaks(self, place: int) -> bool:
        dry, tokens = self._dry, self._tokens
        return tokens[place - 1] in dry.breakers or dry.breaks(tokens, place)

    def costs(self) -> dict[int, float]:
        """Return what each token costs that would go on repeating; others cost nothing."""
        dry = self._dry
        held = np.frombuffer(self._tokens, dtype=np.int32)
        if dry.last_n >= 0:
            held = held[max(0, len(held) - dry.last_n) :]
        lengths = _repeated(held, min(self._unbroken, _LONGEST))
        ends = np.flatnonzero(lengths >= dry.allowed_length)
        ends = ends[np.argsort(lengths[ends], kind="stable")]
        # The longest of several repetitions that one token would go on comes last, and counts.
        longest = dict(zip(held[ends + 1].tolist(), lengths[ends].tolist(), strict=True))
        return {
            token: self._cost(length)
            for token, length in longest.items()
            if token not in dry.breakers
        }

    def _cost(self, length: int) -> float:
        dry = self._dry
        exponent = length - dry.allowed_length
        if dry.base > 1:
            exponent = min(exponent, int(_LOG_LARGEST_FLOAT32 / math.log(dry.base)))
        return min(_MOST, dry.multiplier * dry.base**exponent)


def _repeated(held: npt.NDArray[np.int32], longest: int) -> npt.NDArray[np.int64]:
    """Return how many tokens before and at each place but the last are those at the end."""
    lengths = np.zeros(max(0, len(held) - 1), dtype=np.int64)
    ends = np.arange(len(lengths))
    for length in range(1, min(longest, len(lengths)) + 1):
        ends = ends[ends >= length - 1]
        ends = ends[held[ends - (length - 1)] == held[-length]]
        if not len(ends):
            break
        lengths[ends] = length
    return lengths
