"""Samplers in the order that a request wants, each on what the one before it has left.

Owns: that order, and what each sampler leaves where it stands there.
Must not: draw, or know a request's words for samplers (`samplers` does).

Nothing here is as fast as the usual order is (`sampling`), which knows what comes behind a set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from engines.llamacpp.heat import GREEDY_BELOW, Dynamic
from engines.llamacpp.narrowing import (
    Narrowing,
    likeliest,
    likely,
    near,
    nucleus,
    typical,
    without_top,
)

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]
_Set: TypeAlias = Callable[[Narrowing, Floats, float, int], Tokens | None]

# The order where a request gives none; a dynamic temperature comes behind the sets.
USUAL = (
    "penalties",
    "dry",
    "temperature",
    "top_n_sigma",
    "top_k",
    "typ_p",
    "min_p",
    "top_p",
    "xtc",
    "adaptive_p",
)


@dataclass(frozen=True, slots=True)
class Chain:
    """Names of `USUAL` in any order; what is left out is off. Sets leave `least` tokens or more.

    Adaptive-p chooses among what is left at the end, wherever it stands, as in llama.cpp.
    """

    order: tuple[str, ...]
    least: int = 0


class Ordered:
    """The chain of one sequence. `adjust` are those samplers that change logits, by their names."""

    def __init__(
        self,
        chain: Chain,
        sets: Narrowing,
        temperature: float,
        dynamic: Dynamic | None,
        adjust: Mapping[str, Callable[[Floats], None]],
    ) -> None:
        self._chain = chain
        self._sets = sets
        self._temperature = temperature
        self._dynamic = dynamic
        self._adjust = adjust

    def left(self, logits: Floats, luck: float) -> Tokens:
        """Return the tokens that are left; `logits` [vocabulary], some finite, are changed.

        `luck` below 1 decides on XTC.
        """
        tokens = np.flatnonzero(logits > -np.inf)
        for name in self._chain.order:
            if name in self._adjust:
                self._adjust[name](logits)
            elif name == "temperature":
                tokens = self._heated(logits, tokens)
            elif name in _SETS:
                kept = _SETS[name](self._sets, logits[tokens], luck, self._chain.least)
                tokens = tokens if kept is None else tokens[kept]
        return tokens

    def _heated(self, logits: Floats, tokens: Tokens) -> Tokens:
        values, temperature = logits[tokens], self._temperature
        if self._dynamic is not None:
            if len(tokens) == 1:
                return tokens
            temperature = self._dynamic.heat(_weights(values).astype(np.float64), temperature)
        if temperature < GREEDY_BELOW:
            return tokens[[int(values.argmax())]]
        logits[tokens] = values / np.float32(temperature)
        return tokens


def _top_k(sets: Narrowing, logits: Floats, _luck: float, _least: int) -> Tokens | None:
    return likeliest(logits, sets.top_k) if 0 < sets.top_k < len(logits) else None


def _top_n_sigma(sets: Narrowing, logits: Floats, _luck: float, _least: int) -> Tokens | None:
    return np.flatnonzero(near(logits, sets.top_n_sigma)) if sets.top_n_sigma > 0 else None


def _typ_p(sets: Narrowing, logits: Floats, _luck: float, least: int) -> Tokens | None:
    return typical(_weights(logits), sets.typical_p, least) if sets.typical_p < 1 else None


def _min_p(sets: Narrowing, logits: Floats, _luck: float, least: int) -> Tokens | None:
    return _filled(likely(_weights(logits), sets.min_p), logits, least) if sets.min_p > 0 else None


def _top_p(sets: Narrowing, logits: Floats, _luck: float, least: int) -> Tokens | None:
    return _filled(nucleus(_weights(logits), sets.top_p), logits, least) if sets.top_p < 1 else None


def _xtc(sets: Narrowing, logits: Floats, luck: float, least: int) -> Tokens | None:
    if luck >= sets.xtc_probability:
        return None
    kept = without_top(_weights(logits), sets.xtc_threshold)
    return kept if len(kept) >= least else None


_SETS: Mapping[str, _Set] = {
    "top_n_sigma": _top_n_sigma,
    "top_k": _top_k,
    "typ_p": _typ_p,
    "min_p": _min_p,
    "top_p": _top_p,
    "xtc": _xtc,
}


def _filled(kept: Tokens, logits: Floats, least: int) -> Tokens:
    """Return what a set of the likeliest has left, or so many where these are more."""
    return kept if len(kept) >= least else likeliest(logits, min(least, len(logits)))


def _weights(logits: Floats) -> Floats:
    weights: Floats = np.exp(logits - logits.max())
    return weights
