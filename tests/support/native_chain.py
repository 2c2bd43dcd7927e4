"""llama.cpp's own samplers, and a sampler of ours whose races are watched."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llama_cpp as native
import numpy as np
import pytest

from engines.llamacpp.narrowing import Floats
from engines.llamacpp.race import Race, Tokens
from engines.llamacpp.sampling import Sampler, SamplingParams

NO_SEED = 0xFFFFFFFF


def logits_of(row: list[int]) -> Floats:
    return np.array(row, dtype=np.float32) / np.float32(8)


class Watched(Race):
    """A race that notes who runs in it, and their chances; `first` wins where it is given."""

    def __init__(self) -> None:
        super().__init__([1])
        self.chances: dict[int, float] = {}
        self.first: int | None = None

    def winner(self, tokens: Tokens, weights: Floats) -> int:
        chances = weights.astype(np.float64) / weights.sum(dtype=np.float64)
        self.chances = dict(zip(tokens.tolist(), chances.tolist(), strict=True))
        if self.first is not None:
            return int(np.flatnonzero(tokens == self.first)[0])
        return super().winner(tokens, weights)

    def winner_of_all(self, logits: Floats, temperature: float) -> int:
        weights = np.exp((logits - logits.max()) / np.float32(temperature))
        return self.winner(np.arange(len(logits)), weights)


def watched(params: SamplingParams, prompt: Sequence[int] = ()) -> tuple[Sampler, Watched]:
    sampler, race = Sampler(params, prompt=prompt), Watched()
    sampler._race = race
    return sampler, race


class Chain:
    """Samplers of llama.cpp's, one after the other."""

    def __init__(self, *samplers: Any) -> None:
        self._chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        for sampler in samplers:
            native.llama_sampler_chain_add(self._chain, sampler)

    def apply(self, logits: Floats) -> tuple[dict[int, float], int]:
        """Return the chances of the tokens that are left, and which was selected (or -1)."""
        rows = (native.llama_token_data * len(logits))()
        for token, logit in enumerate(logits.tolist()):
            rows[token] = native.llama_token_data(token, logit, 0.0)
        array = native.llama_token_data_array(rows, len(logits), -1, False)
        native.llama_sampler_apply(self._chain, ctypes.byref(array))
        left = [(array.data[at].id, array.data[at].logit) for at in range(array.size)]
        values = np.array([logit for _, logit in left], dtype=np.float64)
        weights = np.exp(values - values.max())
        chances = weights / weights.sum()
        found = {t: float(c) for (t, _), c in zip(left, chances, strict=True) if c > 0}
        selected = -1 if array.selected < 0 else int(array.data[array.selected].id)
        if selected >= 0:
            self.accept(selected)
        return found, selected

    def accept(self, token: int) -> None:
        """Note that a token has come."""
        native.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        native.llama_sampler_free(self._chain)


@contextmanager
def chain(*samplers: Any) -> Iterator[Chain]:
    made = Chain(*samplers)
    try:
        yield made
    finally:
        made.close()


def same(found: dict[int, float], expected: dict[int, float]) -> bool:
    """Say whether two are the same tokens with the same chances."""
    # What hardly ever comes may be beyond what single precision holds.
    likely = {token for token, chance in expected.items() if chance > 1e-30}
    return likely <= set(found) <= set(expected) and all(
        found[token] == pytest.approx(expected[token], rel=2e-3, abs=1e-7) for token in likely
    )
