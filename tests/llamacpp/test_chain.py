"""Samplers in any order leave what llama.cpp's leave; in the usual one, what is left without."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import llama_cpp as native
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.adaptive import Adaptive
from engines.llamacpp.chain import USUAL, Chain
from engines.llamacpp.heat import Dynamic
from engines.llamacpp.narrowing import Narrowing
from engines.llamacpp.repetition import Dry
from engines.llamacpp.samplers import chain_of
from engines.llamacpp.sampling import Sampler, SamplingParams
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import Sampling
from tests.support.native_chain import NO_SEED, chain, logits_of, same, watched

SIZE = 24
# Apart from each other, so that float32 and float64 agree on their order.
ROWS = st.lists(st.integers(-80, 80), min_size=SIZE, max_size=SIZE, unique=True)
SETS = Narrowing(
    top_k=17, typical_p=0.93, min_p=0.013, top_p=0.87, xtc_probability=1, xtc_threshold=0.11
)
PARAMS = SamplingParams(
    0.77,
    SETS,
    presence_penalty=0.3,
    frequency_penalty=0.21,
    repetition_penalty=1.3,
    repetition_last_n=64,
)
# Each, with what it must keep at least.
THEIRS: dict[str, Callable[[int], Any]] = {
    "penalties": lambda _: native.llama_sampler_init_penalties(SIZE, 64, 1.3, 0.21, 0.3),
    "temperature": lambda _: native.llama_sampler_init_temp_ext(0.77, 0.0, 1.0),
    "top_k": lambda _: native.llama_sampler_init_top_k(17),
    "typ_p": lambda least: native.llama_sampler_init_typical(0.93, least),
    "min_p": lambda least: native.llama_sampler_init_min_p(0.013, least),
    "top_p": lambda least: native.llama_sampler_init_top_p(0.87, least),
    "xtc": lambda least: native.llama_sampler_init_xtc(1.0, 0.11, least, NO_SEED),
}


@given(
    rows=st.lists(ROWS, min_size=1, max_size=3),
    order=st.lists(st.sampled_from(sorted(THEIRS)), unique=True),
    least=st.sampled_from([0, 1, 3, 9]),
)
def test_samplers_in_any_order_leave_what_llama_cpps_leave(
    rows: list[list[int]], order: list[str], least: int
) -> None:
    sampler, race = watched(replace(PARAMS, chain=Chain(tuple(order), least)))
    with chain(*(THEIRS[name](least) for name in order)) as theirs:
        for row in rows:
            logits = logits_of(row)
            expected, _ = theirs.apply(logits)
            race.first = max(expected, key=expected.__getitem__)
            assert sampler.pick(logits.copy()) == race.first
            assert same(race.chances, expected)
            theirs.accept(race.first)


@given(ROWS, st.booleans(), st.sampled_from([0.4, 1.3]))
def test_top_n_sigma_and_a_dynamic_temperature_stand_where_they_are_put(
    row: list[int], first: bool, sigmas: float
) -> None:
    order = ("temperature", "top_n_sigma") if first else ("top_p", "temperature", "top_n_sigma")
    sets, dynamic = Narrowing(top_p=0.87, top_n_sigma=sigmas), Dynamic(0.6, 1.5)
    sampler, race = watched(SamplingParams(0.77, sets, dynamic=dynamic, chain=Chain(order)))
    sampler.pick(logits_of(row))
    steps = [] if first else [native.llama_sampler_init_top_p(0.87, 0)]
    steps.append(native.llama_sampler_init_temp_ext(0.77, 0.6, 1.5))
    with chain(*steps, native.llama_sampler_init_top_n_sigma(sigmas)) as theirs:
        expected, _ = theirs.apply(logits_of(row))
    assert same(race.chances, expected)


WISHES = [
    PARAMS,
    replace(PARAMS, narrowing=Narrowing(top_k=5, top_p=0.9, min_p=0.02)),
    replace(PARAMS, narrowing=Narrowing(top_n_sigma=1.1), temperature=0.0),
    replace(PARAMS, narrowing=Narrowing(typical_p=0.7), dry=Dry(1.0), logit_bias={3: -4.0}),
    replace(PARAMS, adaptive=Adaptive(0.2)),
]


@pytest.mark.parametrize("wishes", WISHES)
@given(st.lists(ROWS, min_size=1, max_size=5), st.integers(0, 99))
def test_the_usual_order_draws_what_is_drawn_without_one(
    wishes: SamplingParams, rows: list[list[int]], seed: int
) -> None:
    plain = Sampler(replace(wishes, seed=seed), prompt=(1, 2, 3, 1, 2))
    ordered = Sampler(replace(wishes, seed=seed, chain=Chain(USUAL)), prompt=(1, 2, 3, 1, 2))
    for row in rows:
        assert plain.pick(logits_of(row)) == ordered.pick(logits_of(row))


def test_what_is_left_out_is_off() -> None:
    row = logits_of([80, *range(SIZE - 1)])
    cold = SamplingParams(0.0, Narrowing(top_k=1), seed=1, logit_bias={0: -100.0})
    assert Sampler(replace(cold, chain=Chain(("top_k",)))).pick(row.copy()) == SIZE - 1
    free = Sampler(replace(cold, chain=Chain(())))
    assert len({free.pick(row.copy()) for _ in range(200)}) > 5


def test_what_is_impossible_stays_so_in_any_order() -> None:
    row = np.full(SIZE, -np.inf, dtype=np.float32)
    row[[4, 9]] = 1.0, np.nan
    for name in USUAL:
        wishes = replace(PARAMS, chain=Chain((name, "temperature"), 5))
        assert Sampler(wishes).pick(row.copy()) == 4


def test_names_are_llama_servers_in_any_spelling_or_its_letters() -> None:
    names = ["Penalties", "dry", "top-n-sigma", "topk", "typ_p", "nucleus", "min_p", "xtc", "temp"]
    sets = ("top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc")
    expected = Chain(("penalties", "dry", *sets, "temperature"), 2)
    assert chain_of(Sampling(samplers=names, min_keep=2)) == expected
    assert chain_of(Sampling(samplers="edskypmxt", min_keep=2)) == expected
    assert chain_of(Sampling(samplers=[])) == Chain(())
    assert chain_of(Sampling()) is chain_of(Sampling(min_keep=0)) is None
    assert chain_of(Sampling(min_keep=2)) == Chain(USUAL, 2)
    late = chain_of(Sampling(min_keep=2, dynatemp_range=0.5))
    assert late is not None
    assert late.order.index("temperature") > late.order.index("xtc")


@pytest.mark.parametrize("samplers", [["top_k", "infill"], "ki", ["k", ""]])
def test_an_unknown_sampler_is_named(samplers: list[str] | str) -> None:
    with pytest.raises(InvalidRequest, match=r"^'(infill|i|)' is not a sampler") as refused:
        chain_of(Sampling(samplers=samplers))
    assert refused.value.param == "samplers"
