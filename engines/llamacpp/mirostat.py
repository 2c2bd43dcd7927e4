"""Mirostat, both versions: the set that is drawn from follows how surprising the text has been.

Owns: the bound of one text, and how it moves.
Must not: draw.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]

# The first version guesses from so many of the likeliest tokens how fast chances fall.
_GUESSED_FROM = 100


@dataclass(frozen=True, slots=True)
class Mirostat:
    """`version` 1 or 2; `tau` is the surprise that is aimed at, in bits, `eta` how fast."""

    version: int
    tau: float = 5.0
    eta: float = 0.1


class Surprise:
    """One text's bound. Mutable; belongs to one sampler."""

    def __init__(self, mirostat: Mirostat) -> None:
        self._mirostat = mirostat
        self._bound = 2 * mirostat.tau

    def allowed(self, weights: Floats) -> Tokens:
        """Return what may be drawn; `weights` [vocabulary] are chances, the largest 1."""
        if self._mirostat.version == 1:
            count = _likeliest(weights, self._bound)
            return np.argpartition(weights, -count)[-count:]
        with np.errstate(divide="ignore"):  # what is impossible surprises without end
            surprises = -np.log2(weights / weights.sum(dtype=np.float64))
        tokens = np.flatnonzero(surprises <= self._bound)
        return tokens if len(tokens) else np.array([int(weights.argmax())])

    def learn(self, weights: Floats, tokens: Tokens, token: int) -> None:
        """Move the bound by the `token` that was drawn of these."""
        chance = float(weights[token]) / float(weights[tokens].sum(dtype=np.float64))
        self._bound -= self._mirostat.eta * (-math.log2(chance) - self._mirostat.tau)


def _likeliest(weights: Floats, bound: float) -> int:
    """Return how many tokens may be drawn, where chances fall as in Zipf's law."""
    size = len(weights)
    count = min(_GUESSED_FROM, size)
    best = np.sort(weights[np.argpartition(weights, -count)[-count:]])[::-1].astype(np.float64)
    best = best[best > 0]
    ranks = np.arange(1, len(best) + 1)
    steps = np.log(ranks[1:] / ranks[:-1])
    falls = np.log(best[:-1] / best[1:])
    if not falls.any():
        return len(best) if len(best) < count else size  # flat: all that are possible
    exponent = float((steps * falls).sum() / (steps**2).sum())
    over = exponent - 1
    with np.errstate(over="ignore"):
        part = over / (1 - float(size) ** -over) if abs(over) > 1e-9 else 1 / math.log(size)
        found = float(np.power(part * np.exp2(bound), 1 / exponent))
    return max(1, int(min(found, size)))
