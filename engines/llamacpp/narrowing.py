"""Which tokens may be drawn: top-k, typical-p, min-p, top-p and XTC, in this order.

Owns: the sets. Each is taken of what the one before it has left.
Must not: draw, or change how likely a token is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]
_Narrow: TypeAlias = Callable[[Floats, float], Tokens]

_ROWS = 64
# Tokens whose chance is this part of the best are sorted before the next are looked at.
_PARTS = (1e-2, 1e-4, 0.0)


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

    def narrows(self, vocabulary: int, luck: float) -> bool:
        """Say whether not all of a vocabulary may be drawn; `luck` is that of `allowed`."""
        by_chance = self.typical_p < 1 or self.min_p > 0 or self.top_p < 1
        return 0 < self.top_k < vocabulary or by_chance or luck < self.xtc_probability

    def shortlist(self, logits: Floats, temperature: float) -> Tokens | None:
        """Return the tokens that the first set leaves, where logits tell; None: look at all."""
        if 0 < self.top_k < len(logits):
            return likeliest(logits, self.top_k)
        if self.min_p > 0 and self.typical_p >= 1:
            return np.flatnonzero(logits >= logits.max() + temperature * math.log(self.min_p))
        return None

    def allowed(self, weights: Floats, luck: float) -> Tokens | None:
        """Return which of the short list may be drawn, counted from 0; None for all of it.

        `weights` are the chances of the short list; `luck` below 1 decides on XTC.
        """
        kept: Tokens | None = None
        if self.typical_p < 1:
            kept = _within(kept, weights, _typical, self.typical_p)
        if self.min_p > 0:
            kept = _within(kept, weights, _likely, self.min_p)
        if self.top_p < 1:
            kept = _within(kept, weights, _nucleus, self.top_p)
        if luck < self.xtc_probability:
            kept = _within(kept, weights, _without_top, self.xtc_threshold)
        return kept


def likeliest(logits: Floats, count: int) -> Tokens:
    """Return the tokens with the `count` largest logits, in no order.

    Read as a table, the columns with the largest tops hold them all: what lies in another column is
    no larger than these tops, and there are `count` of them.
    """
    columns = len(logits) // _ROWS
    if columns < 2 * count:
        return np.argpartition(logits, -count)[-count:]
    table = logits[: columns * _ROWS].reshape(_ROWS, columns)
    chosen = np.argpartition(table.max(axis=0), -count)[-count:]
    within = (chosen + np.arange(0, len(table) * columns, columns)[:, None]).ravel()
    tokens = np.concatenate((within, np.arange(columns * _ROWS, len(logits))))
    return tokens[np.argpartition(logits[tokens], -count)[-count:]]


def _within(tokens: Tokens | None, weights: Floats, narrow: _Narrow, bound: float) -> Tokens:
    if tokens is None:
        return narrow(weights, bound)
    return tokens[narrow(weights[tokens], bound)]


def _likely(weights: Floats, min_p: float) -> Tokens:
    return np.flatnonzero(weights >= min_p * weights.max())


def _nucleus(weights: Floats, top_p: float) -> Tokens:
    """Return the smallest set whose part of all chances reaches `top_p`; the likeliest is in it."""
    wanted, best = top_p * float(weights.sum(dtype=np.float64)), weights.max()
    # Sorting a whole vocabulary is dear, and hardly ever needed.
    for part in _PARTS:
        tokens = np.flatnonzero(weights >= part * best)
        if not part or weights[tokens].sum(dtype=np.float64) >= wanted:
            break
    falling = np.sort(weights[tokens])[::-1]  # ten times as fast as the order is found
    count = int(np.searchsorted(np.cumsum(falling, dtype=np.float64), wanted)) + 1
    kept: Tokens = tokens[weights[tokens] >= falling[min(count, len(falling)) - 1]]
    return kept if len(kept) <= count else kept[np.argsort(-weights[kept], kind="stable")][:count]


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
