"""What tokens are drawn from, and by which chances, is what llama.cpp's own samplers leave."""

from collections.abc import Callable
from typing import Any

import llama_cpp as native
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engines.llamacpp.adaptive import Adaptive
from engines.llamacpp.heat import Dynamic
from engines.llamacpp.narrowing import Floats, Narrowing
from engines.llamacpp.sampling import Sampler, SamplingParams
from tests.support.native_chain import NO_SEED, chain, logits_of, same, watched

# Apart from each other, so that float32 and float64 agree on their order.
ROWS = st.lists(st.integers(-80, 80), min_size=2, max_size=40, unique=True)


@given(ROWS, st.floats(0.05, 4), st.floats(0.2, 2))
def test_top_n_sigma_leaves_what_is_near_the_best(
    row: list[int], sigmas: float, temperature: float
) -> None:
    logits = logits_of(row)
    bound = logits.max() - sigmas * logits.std(dtype=np.float64)
    assume(np.abs(logits - bound).min() > 1e-4)
    sampler, race = watched(SamplingParams(temperature, Narrowing(top_n_sigma=sigmas)))
    sampler.pick(logits.copy())
    steps = (
        native.llama_sampler_init_top_n_sigma(sigmas),
        native.llama_sampler_init_temp(temperature),
    )
    with chain(*steps) as theirs:
        expected, _ = theirs.apply(logits)
    assert same({t: c for t, c in race.chances.items() if c > 0}, expected)


SETS: list[tuple[Narrowing, Callable[[], Any] | None]] = [
    (Narrowing(), None),
    (Narrowing(top_k=5), lambda: native.llama_sampler_init_top_k(5)),
    (Narrowing(min_p=0.05), lambda: native.llama_sampler_init_min_p(0.05, 0)),
    (Narrowing(top_p=0.9), lambda: native.llama_sampler_init_top_p(0.9, 0)),
]


@pytest.mark.parametrize(("sets", "theirs"), SETS)
@given(
    row=ROWS,
    temperature=st.floats(0.05, 2),
    dynamic=st.builds(Dynamic, st.floats(0.05, 2), st.sampled_from([0.5, 1.0, 2.0])),
)
def test_a_dynamic_temperature_follows_what_the_sets_leave(
    sets: Narrowing,
    theirs: Callable[[], Any] | None,
    row: list[int],
    temperature: float,
    dynamic: Dynamic,
) -> None:
    logits = logits_of(row)
    weights = np.sort(np.exp(logits.astype(np.float64) - logits.max()))[::-1]
    sums = np.cumsum(weights) / weights.sum()
    assume(np.abs(sums - 0.9).min() > 1e-5)
    assume(np.abs(weights - 0.05).min() > 1e-5)
    sampler, race = watched(SamplingParams(temperature, sets, dynamic=dynamic))
    sampler.pick(logits.copy())
    steps = [native.llama_sampler_init_temp_ext(temperature, dynamic.reach, dynamic.exponent)]
    with chain(*([theirs()] if theirs else []), *steps) as made:
        expected, _ = made.apply(logits)
    assert same({t: c for t, c in race.chances.items() if c > 0}, expected)


@pytest.mark.parametrize("decay", [0.0, 0.9])
@given(
    rows=st.lists(ROWS, min_size=1, max_size=6),
    target=st.floats(0, 1),
    temperature=st.floats(0.3, 2),
)
def test_adaptive_p_prefers_the_same_tokens_all_along_a_text(
    decay: float, rows: list[list[int]], target: float, temperature: float
) -> None:
    adaptive = Adaptive(target, decay)
    sampler, race = watched(SamplingParams(temperature, adaptive=adaptive))
    steps = (
        native.llama_sampler_init_temp(temperature),
        native.llama_sampler_init_adaptive_p(target, decay, NO_SEED),
    )
    with chain(*steps) as theirs:
        for row in rows:
            logits = logits_of(row)
            expected, race.first = theirs.apply(logits)
            assert sampler.pick(logits.copy()) == race.first
            assert same(race.chances, expected)


def test_of_one_possible_token_the_temperature_is_no_matter() -> None:
    row: Floats = np.full(9, -np.inf, dtype=np.float32)
    row[4] = 1.0
    for params in (
        SamplingParams(0.0, dynamic=Dynamic(1.0)),
        SamplingParams(1.0, adaptive=Adaptive(0.2)),
        SamplingParams(1.0, Narrowing(top_n_sigma=1.0)),
    ):
        assert Sampler(params).pick(row.copy()) == 4


def test_where_the_model_is_sure_a_dynamic_temperature_of_nothing_takes_the_likeliest() -> None:
    row: Floats = np.array([0.0, 200.0, 0.0], dtype=np.float32)
    sampler = Sampler(SamplingParams(0.5, dynamic=Dynamic(0.5)))
    assert [sampler.pick(row.copy()) for _ in range(20)] == [1] * 20
