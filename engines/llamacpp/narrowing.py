"""Which tokens may be drawn: top-k, typical-p, min-p, top-p and XTC, in this order.

Owns: the sets. Each is taken of what the one before it has left.
Must not: draw, or change how likely a token is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]
_Narrow: TypeAlias = Callable[[Floats, float], Tokens]

# As many candidates are sorted before the whole vocabulary is.
_NARROW_TO = 1_024


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The bounds of the sets; those that are given here narrow nothing.

    `xtc_probability` is how often XTC leaves out all but the least likely of the tokens whose
    chance is at least `xtc_threshold`.
    """

    top_k: int = 0
    typical_p: float = 1.0
    min_p: float = 0.0
    top_p: float = 1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1

    def allowed(self, logits: Floats, weights: Floats, luck: float) -> Tokens | None:
        """Return the tokens that may be drawn, None for all.

        `weights` [vocabulary] are chances, the largest 1; `luck` below 1 decides on XTC.
        """
        tokens: Tokens | None = None
        if 0 < self.top_k < len(logits):
            # By the logits: two that differ may have chances that do not.
            tokens = np.argpartition(logits, -self.top_k)[-self.top_k :]
        if self.typical_p < 1:
            tokens = _within(tokens, weights, _typical, self.typical_p)
        if self.min_p > 0:
            tokens = _within(tokens, weights, _likely, self.min_p)
        if self.top_p < 1:
            tokens = _within(tokens, weights, _nucleus, self.top_p)
        if luck < self.xtc_probability:
            tokens = _within(tokens, weights, _without_top, self.xtc_threshold)
        return tokens


def _within(tokens: Tokens | None, weights: Floats, narrow: _Narrow, bound: float) -> Tokens:
    if tokens is None:
        return narrow(weights, bound)
    return tokens[narrow(weights[tokens], bound)]


def _likely(weights: Floats, min_p: float) -> Tokens:
    return np.flatnonzero(weights >= min_p * weights.max())


def _nucleus(weights: Floats, top_p: float) -> Tokens:
    """Return the smallest set whose part of all chances reaches `top_p`; the likeliest is in it."""
    wanted = top_p * float(weights.sum(dtype=np.float64))
    tokens = np.arange(0)
    if len(weights) > _NARROW_TO:
        # Sorting a whole vocabulary takes twenty times as long, and is hardly ever needed.
        tokens = np.argpartition(weights, -_NARROW_TO)[-_NARROW_TO:]
    if weights[tokens].sum(dtype=np.float64) < wanted or not len(tokens):
        tokens = np.arange(len(weights))
    tokens = tokens[np.argsort(-weights[tokens], kind="stable")]
    count = int(np.searchsorted(np.cumsum(weights[tokens], dtype=np.float64), wanted)) + 1
    return tokens[:count]


def _typical(weights: Floats, typical_p: float) -> Tokens:
    """Return those whose surprise is nearest to the mean, until their chances exceed the bound."""
    possible = np.flatnonzero(weights)
    chances = weights[possible] / weights.sum(dtype=np.float64)
    surprises = -np.log(chances)
    strange = np.abs(surprises - float((chances * surprises).sum()))
    order = np.argsort(strange, kind="stable")
    count = int(np.searchsorted(np.cumsum(chances[order]), typical_p, side="right")) + 1
    return possible[order[:count]]


def _without_top(weights: Floats, threshold: float) -> Tokens:
    """Return all but those that reach the threshold, and of these the least likely."""
    chances = weights / weights.sum(dtype=np.float64)
    top = np.flatnonzero(chances >= threshold)
    if len(top) < 2:
        return np.arange(len(weights))
    kept = top[chances[top].argmin()]
    return np.flatnonzero((chances < threshold) | (np.arange(len(weights)) == kept))
