"""Which tokens may be drawn: top-n-sigma, top-k, typical-p, min-p, top-p and XTC, in this order.

Owns: the sets. Each is taken of what the one before it has left.
Must not: draw, or change how likely a token is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]
_Narrow: TypeAlias = Callable[[Floats, float], Tokens]

_ROWS = 64
# Mostly few tokens are likely: those of these chances are looked at first.
_PARTS = (1e-2, 1e-4)
_MOST_SORTED = 2_048
_LEAST_POWER = -32
# None at all would be reached before the first weight.
_LEAST_WANTED = 1e-300
# Of a float32: the first seven bits behind its exponent.
_KIND_BITS, _KINDS = 16, 127


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The bounds of the sets; those that are given here narrow nothing.

    `top_n_sigma` is for `leave_near`, which comes before all that is here.
    `xtc_probability` is how often XTC leaves out all but the least likely of the tokens whose
    chance is at least `xtc_threshold`.
    """

    top_k: int = 0
    typical_p: float = 1.0
    min_p: float = 0.0
    top_p: float = 1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    top_n_sigma: float = 0.0

    def narrows(self, vocabulary: int, luck: float) -> bool:
        """Say whether not all of a vocabulary may be drawn; `luck` is that of `allowed`."""
        by_chance = self.typical_p < 1 or self.min_p > 0 or self.top_p < 1
        return 0 < self.top_k < vocabulary or by_chance or luck < self.xtc_probability

    def is_nucleus(self, vocabulary: int, luck: float) -> bool:
        """Say whether top-p alone bounds the draw."""
        bound = replace(self, top_p=1.0)
        return self.top_p < 1 and not bound.narrows(vocabulary, luck)

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
            kept = _within(kept, weights, typical, self.typical_p)
        if self.min_p > 0:
            kept = _within(kept, weights, likely, self.min_p)
        if self.top_p < 1:
            kept = _within(kept, weights, nucleus, self.top_p)
        if luck < self.xtc_probability:
            kept = _within(kept, weights, without_top, self.xtc_threshold)
        return kept


def leave_near(logits: Floats, sigmas: float) -> None:
    """Make what lies more standard deviations below the largest logit impossible."""
    logits[~near(logits, sigmas)] = -np.inf


def near(logits: Floats, sigmas: float) -> npt.NDArray[np.bool_]:
    """Say of each whether it is at most so many standard deviations below the largest."""
    possible = logits[logits > -np.inf]
    deviation = float(possible.std(dtype=np.float64))
    return logits >= float(possible.max()) - sigmas * deviation


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


def likely(weights: Floats, min_p: float) -> Tokens:
    """Return those of at least this part of the best's chance."""
    return np.flatnonzero(weights >= min_p * weights.max())


def nucleus(weights: Floats, top_p: float) -> Tokens:
    """Return the smallest set whose part of all chances reaches `top_p`; the likeliest is in it."""
    least, count = least_within(weights, top_p * float(weights.sum(dtype=np.float64)))
    return first_within(weights, least, count)


def first_within(weights: Floats, least: np.float32, count: int) -> Tokens:
    """Return the `count` tokens with the largest weights; of the `least` those that stand first."""
    kept = np.flatnonzero(weights >= least)
    if len(kept) <= count:
        return kept
    equal = np.flatnonzero(weights[kept] == least)
    return np.delete(kept, equal[len(equal) - (len(kept) - count) :])


def least_within(weights: Floats, wanted: float) -> tuple[np.float32, int]:
    """Return the least of the largest weights that come to `wanted`, and how many these are.

    That is one at least. No weight is below 0 or above 1. Sorting a whole vocabulary takes
    milliseconds: first is found between which two powers of two the least one lies, then among 128
    kinds of these, and only weights of one kind are sorted.
    """
    wanted = max(wanted, _LEAST_WANTED)
    for part in _PARTS:
        likely = weights >= np.float32(part)
        if np.count_nonzero(likely) > _MOST_SORTED:
            break
        chances = weights[likely]
        if chances.sum(dtype=np.float64) >= wanted:
            return _least_sorted(chances, wanted, 0)
    low, high, above = _LEAST_POWER, 1, 0.0  # 2**low and more come to enough, 2**high do not
    if _sum_from(weights, low) < wanted:
        return _least_sorted(weights, wanted, 0)  # of chances that come to 1 hardly anything lacks
    while high - low > 1:
        middle = (low + high) // 2
        found = _sum_from(weights, middle)
        if found >= wanted:
            low = middle
        else:
            high, above = middle, found
    larger = weights >= np.float32(2.0**high)
    before = int(np.count_nonzero(larger))
    group = weights[(weights >= np.float32(2.0**low)) ^ larger]
    if len(group) > _MOST_SORTED:
        kinds = (group.view(np.int32) >> _KIND_BITS) & _KINDS
        sums = above + np.cumsum(np.bincount(kinds, group, _KINDS + 1)[::-1])
        # Sums of other parts round differently: it may be the last kind that has any.
        at = min(int(np.searchsorted(sums, wanted)), int(np.searchsorted(sums, sums[-1])))
        before += int(np.count_nonzero(kinds > _KINDS - at))
        above = float(sums[at - 1]) if at else above
        group = group[kinds == _KINDS - at]
    return _least_sorted(group, wanted - above, before)


def _sum_from(weights: Floats, power: int) -> float:
    """Return what the weights of 2**power and more come to."""
    return float((weights * (weights >= np.float32(2.0**power))).sum(dtype=np.float64))


def _least_sorted(weights: Floats, wanted: float, before: int) -> tuple[np.float32, int]:
    falling = np.sort(weights)[::-1]  # ten times as fast as the order is found
    count = int(np.searchsorted(np.cumsum(falling, dtype=np.float64), wanted)) + 1
    count = min(count, len(falling))
    return falling[count - 1], before + count


def typical(weights: Floats, typical_p: float, least: int = 0) -> Tokens:
    """Return those whose surprise is nearest to the mean, until their chances exceed the bound.

    They are `least` at least, if there are as many.
    """
    possible = np.flatnonzero(weights)
    chances = weights[possible] / weights.sum(dtype=np.float64)
    surprises = -np.log(chances)
    strange = np.abs(surprises - float((chances * surprises).sum()))
    order = np.argsort(strange, kind="stable")
    count = int(np.searchsorted(np.cumsum(chances[order]), typical_p, side="right")) + 1
    return possible[order[: max(count, least)]]


def without_top(weights: Floats, threshold: float) -> Tokens:
    """Return all but those that reach the threshold, and of these the least likely.

    What is impossible reaches none, be it 0.
    """
    chances = weights / weights.sum(dtype=np.float64)
    top = np.flatnonzero((chances >= threshold) & (weights > 0))
    if len(top) < 2:
        return np.arange(len(weights))
    kept = top[chances[top].argmin()]
    return np.flatnonzero((chances < threshold) | (np.arange(len(weights)) == kept))
