"""Penalties on tokens that have come: once, for each time, or because they stand before.

Owns: which tokens count, and what they cost.
Must not: draw.
"""

import sys
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Penalties:
    """Those of one text as it grows. Mutable; belongs to one sampler.

    `presence` and `frequency` look at what was generated, `repetition` at the prompt as well: at
    the last `last_n` tokens, at all where it is negative.
    """

    def __init__(
        self,
        *,
        presence: float,
        frequency: float,
        repetition: float,
        last_n: int,
        prompt: Sequence[int],
    ) -> None:
        self._presence = presence
        self._frequency = frequency
        self._repetition = repetition
        self._generated: Counter[int] = Counter()
        self._seen = _seen(repetition, last_n, prompt)

    def add(self, token: int) -> None:
        """Go on by a token."""
        self._generated[token] += 1
        if isinstance(self._seen, set):
            self._seen.add(token)
        else:
            self._seen.append(token)

    def apply(self, logits: Floats) -> None:
        """Take from `logits` [vocabulary] what tokens cost that have come."""
        if self._repetition != 1.0 and self._seen:
            tokens = np.fromiter(self._seen, dtype=np.int64)
            values, factor = logits[tokens], self._repetition
            logits[tokens] = np.where(values > 0, values / factor, values * factor)
        if self._generated:
            tokens = np.fromiter(self._generated.keys(), dtype=np.int64)
            counts = np.fromiter(self._generated.values(), dtype=np.float32)
            logits[tokens] -= counts * self._frequency + self._presence


def _seen(repetition: float, last_n: int, prompt: Sequence[int]) -> set[int] | deque[int]:
    """Return what of the prompt is not to be repeated; as many as count, where they are bounded."""
    if repetition == 1.0:
        return set()
    if last_n < 0:
        return set(prompt)
    return deque(prompt, maxlen=min(last_n, sys.maxsize))
