"""Drawing tokens: the sets are what their definitions say, and the same seed draws the same."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engines.llamacpp.mirostat import Mirostat
from engines.llamacpp.narrowing import Narrowing
from engines.llamacpp.repetition import Dry
from engines.llamacpp.sampling import (
    Floats,
    NothingToPick,
    Sampler,
    SamplingParams,
    top_logprobs,
)

VALUES = st.floats(-20, 20, width=32)
LOGITS = st.lists(VALUES, min_size=2, max_size=24)
DRAWS = 30


def row(values: list[float]) -> Floats:
    return np.array(values, dtype=np.float32)


def draws(values: list[float], count: int = DRAWS, **params: object) -> list[int]:
    sampler = Sampler(wishes(seed=1, **params))
    return [sampler.pick(row(values)) for _ in range(count)]


def wishes(**params: Any) -> SamplingParams:
    """Return these parameters, those of the narrowing among them."""
    names = {field.name for field in dataclasses.fields(Narrowing)}
    sets = {name: value for name, value in params.items() if name in names}
    others = {name: value for name, value in params.items() if name not in names}
    return SamplingParams(narrowing=Narrowing(**sets), **others)


def chances(values: list[float], temperature: float = 1) -> list[float]:
    """Return the softmax, slowly."""
    scores = [math.exp((value - max(values)) / temperature) for value in values]
    return [score / sum(scores) for score in scores]


@given(LOGITS)
def test_temperature_zero_takes_the_likeliest(values: list[float]) -> None:
    assert draws(values, 1, temperature=0) == [int(row(values).argmax())]


@given(LOGITS, st.sampled_from([0.0, 1e-300, 1e-7]))
def test_the_smallest_temperatures_are_greedy_too(values: list[float], cold: float) -> None:
    assert draws(values, 1, temperature=cold) == [int(row(values).argmax())]


@given(LOGITS, st.integers(1, 30))
def test_top_k_draws_among_the_k_likeliest(values: list[float], top_k: int) -> None:
    least = sorted(values, reverse=True)[:top_k][-1]
    assert all(values[token] >= least for token in draws(values, top_k=top_k, temperature=2))


@given(LOGITS)
def test_top_k_one_is_greedy(values: list[float]) -> None:
    assert {values[token] for token in draws(values, 20, top_k=1, temperature=2)} == {max(values)}


@given(LOGITS, st.floats(0, 1))
def test_min_p_draws_nothing_less_likely_than_its_part_of_the_best(
    values: list[float], min_p: float
) -> None:
    chance = chances(values)
    least = min_p * max(chance) * (1 - 1e-6)
    assert all(chance[token] >= least for token in draws(values, min_p=min_p))


@given(LOGITS, st.floats(0, 1))
def test_top_p_draws_within_the_smallest_set_that_reaches_it(
    values: list[float], top_p: float
) -> None:
    chance = chances(values)
    total, least = 0.0, 1.0
    for value in sorted(chance, reverse=True):
        if total >= top_p + 1e-9:
            break
        total, least = total + value, value
    assert all(chance[token] >= least * (1 - 1e-6) for token in draws(values, top_p=top_p))


@settings(max_examples=5, deadline=None)
@given(st.permutations([4.0, 3.0, 2.0, 1.0, 0.0, -1.0]))
def test_the_whole_of_each_set_is_drawn_from(values: list[float]) -> None:
    order = sorted(range(6), key=lambda token: -values[token])
    assert set(draws(values, 1_500, temperature=5, top_k=3)) == set(order[:3])
    # softmax: .634, .233, .086, .032, .012, .004
    assert set(draws(values, 1_500, top_p=0.9)) == set(order[:3])
    assert set(draws(values, 1_500, top_p=0.85)) == set(order[:2])
    assert set(draws(values, 1_500, min_p=0.1)) == set(order[:3])
    assert set(draws(values, 1_500, top_p=0)) == set(order[:1])


def test_a_large_flat_vocabulary_is_drawn_from_as_a_whole() -> None:
    size = 8_000
    logits = np.zeros(size, dtype=np.float32)
    sampler = Sampler(SamplingParams(seed=3))
    found = {sampler.pick(logits.copy()) for _ in range(3_000)}
    assert len(found) > 2_300  # 3,000 draws from 8,000 hit about 2,500 different ones


def test_top_p_in_a_large_vocabulary_counts_the_whole_of_it() -> None:
    logits = np.zeros(20_000, dtype=np.float32)
    logits[7] = 8  # a chance of 13%: over 1,024 candidates alone it would be 74%
    sampler = Sampler(wishes(seed=3, top_p=0.5))
    sevens = sum(sampler.pick(logits.copy()) == 7 for _ in range(300))
    assert 45 < sevens < 120  # 26% of what top_p leaves


@given(LOGITS, st.integers(-(2**63), 2**64))
def test_the_same_seed_draws_the_same(values: list[float], seed: int) -> None:
    one, other = (Sampler(SamplingParams(seed=seed)) for _ in range(2))
    assert [one.pick(row(values)) for _ in range(20)] == [
        other.pick(row(values)) for _ in range(20)
    ]


@pytest.mark.parametrize(
    "sets", [{}, {"top_p": 0.95}, {"top_k": 200}, {"typical_p": 0.9}, {"min_p": 0.02}]
)
def test_logits_that_were_rounded_differently_hardly_ever_change_a_draw(
    sets: dict[str, float],
) -> None:
    noise = np.random.default_rng(7)
    one, other = (Sampler(wishes(seed=2, temperature=1.5, **sets)) for _ in range(2))
    changed = 0
    for _ in range(500):
        logits = noise.normal(0, 3, 2_000).astype(np.float32)
        near = logits + noise.normal(0, 1e-3, 2_000).astype(np.float32)
        changed += one.pick(logits) != other.pick(near)
    assert changed <= 5  # by the cumulated chances it was a third of all draws


def test_dry_steers_away_from_what_was_said() -> None:
    params = SamplingParams(temperature=0, dry=Dry(5.0, allowed_length=2))
    sampler = Sampler(params, prompt=[0, 1, 2, 3, 0])
    # 0 1 would be followed by 2 as before: that costs 5, and a repetition of one nothing.
    assert [sampler.pick(row([0.0, 1.0, 0.0, 0.0])), sampler.pick(row([0.0, 0.0, 2.0, 1.0]))] == [
        1,
        3,
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_keeps_the_surprise_that_it_is_told(version: int) -> None:
    values = (-1.2 * np.log(np.arange(1, 2_001))).astype(np.float32)  # Zipf
    chance = np.exp(values) / np.exp(values).sum()
    means = []
    for tau in (2.0, 4.0):
        sampler = Sampler(SamplingParams(seed=4, mirostat=Mirostat(version, tau=tau)))
        told = [-math.log2(chance[sampler.pick(values.copy())]) for _ in range(2_000)]
        means.append(sum(told) / len(told))
        surprise = sampler._surprise
        assert surprise is not None
        # What it measured, among the tokens that were left, was tau on the average.
        assert surprise._bound == pytest.approx(2 * tau, abs=0.1 * len(told) * 0.02)
    assert means[1] - means[0] > 1


def test_choices_of_one_request_differ_and_unseeded_ones_too() -> None:
    flat = [0.0] * 24
    seeded = [Sampler(SamplingParams(seed=5), choice) for choice in range(3)]
    free = [Sampler(SamplingParams()) for _ in range(2)]
    said = [tuple(s.pick(row(flat)) for _ in range(30)) for s in (*seeded, *free)]
    assert len(set(said)) == 5


@given(LOGITS, st.integers(0, 30))
def test_a_bias_of_100_forces_and_of_minus_100_bans(values: list[float], token: int) -> None:
    assume(token < len(values))
    assert set(draws(values, 50, logit_bias={token: 100.0})) == {token}
    assert token not in draws(values, 50, logit_bias={token: -100.0})


@given(LOGITS, st.sampled_from([-100.0, 50.0, 100.0]))
def test_the_same_bias_on_every_token_changes_nothing(values: list[float], bias: float) -> None:
    whole = [float(round(value)) for value in values]  # which no rounding brings nearer
    every = dict.fromkeys(range(len(whole)), bias)
    assert draws(whole, logit_bias=every) == draws(whole)


def test_a_bias_on_no_token_of_the_model_changes_nothing() -> None:
    bias = {-1: 100.0, 99: 100.0}
    assert draws([0.0, 1.0, 2.0], logit_bias=bias) == draws([0.0, 1.0, 2.0])


def test_presence_counts_once_and_frequency_each_time() -> None:
    values = [3.0, 2.5, 0.0]
    once = Sampler(SamplingParams(temperature=0, presence_penalty=1.0))
    # 3 -> 2, then 2.5 -> 1.5: presence is paid once, so the first leads again and stays.
    assert [once.pick(row(values)) for _ in range(5)] == [0, 1, 0, 0, 0]
    each = Sampler(SamplingParams(temperature=0, frequency_penalty=1.0))
    assert [each.pick(row(values)) for _ in range(5)] == [0, 1, 0, 1, 0]


def test_repetition_weakens_what_the_prompt_or_the_answer_has() -> None:
    params = SamplingParams(temperature=0, repetition_penalty=2.0)
    prompted = Sampler(params, prompt=[0])
    # 3 -> 1.5 by the prompt; then 2 -> 1 by the answer; then -1 -> -2 is never the likeliest.
    assert [prompted.pick(row([3.0, 2.0, -1.0])) for _ in range(3)] == [1, 0, 0]
    assert Sampler(params).pick(row([3.0, 2.0, -1.0])) == 0
    assert Sampler(params, prompt=[0]).pick(row([-1.0, -1.5])) == 1


def test_repetition_may_look_back_over_a_few_tokens_alone() -> None:
    values = [3.0, 2.9, -1.0]
    one = SamplingParams(temperature=0, repetition_penalty=2.0, repetition_last_n=1)
    assert Sampler(one, prompt=[0, 2]).pick(row(values)) == 0
    assert Sampler(one, prompt=[2, 0]).pick(row(values)) == 1
    sampler = Sampler(one)
    assert [sampler.pick(row(values)) for _ in range(4)] == [0, 1, 0, 1]
    none = SamplingParams(temperature=0, repetition_penalty=2.0, repetition_last_n=0)
    assert Sampler(none, prompt=[0]).pick(row(values)) == 0


@given(st.lists(st.sampled_from([math.nan, -math.inf, math.inf, 0.0, 3.0]), min_size=1, max_size=9))
def test_what_is_no_number_is_never_drawn_and_never_fatal(values: list[float]) -> None:
    for params in (
        SamplingParams(temperature=0),
        wishes(seed=1, temperature=0.7, top_p=0.9, min_p=0.1, top_k=3, typical_p=0.9),
        SamplingParams(seed=1, repetition_penalty=1.3, presence_penalty=1.0),
        SamplingParams(seed=1, dry=Dry(9.0, allowed_length=1)),
        SamplingParams(seed=1, mirostat=Mirostat(1)),
        SamplingParams(seed=1, mirostat=Mirostat(2)),
    ):
        sampler = Sampler(params)
        try:
            drawn = [values[sampler.pick(row(values))] for _ in range(3)]
        except NothingToPick:
            assert all(math.isnan(value) or value == -math.inf for value in values)
        else:
            assert all(value > -math.inf for value in drawn)


def test_frequencies_are_those_of_the_softmax() -> None:
    values = [2.0, 1.0, 0.0, -1.0, 0.5]
    count = 20_000
    found = np.bincount(draws(values, count, temperature=1.5), minlength=5)
    expected = np.array(chances(values, 1.5)) * count
    squares = float(((found - expected) ** 2 / expected).sum())
    assert squares < 30  # 4 degrees of freedom: less than one in 100,000 is above


@given(LOGITS, st.integers(0, 30))
def test_top_logprobs_are_the_softmaxs_largest_in_order(values: list[float], count: int) -> None:
    token = count % len(values)
    logprob, best = top_logprobs(row(values), token, count)
    chance = chances(values)
    assert logprob == pytest.approx(math.log(chance[token]), abs=1e-5)
    assert len(best) == min(count, len(values))
    told = [value for _, value in best]
    assert told == sorted(told, reverse=True)
    largest = sorted((math.log(c) for c in chance), reverse=True)[: len(told)]
    assert told == pytest.approx(largest, abs=1e-5)


@given(LOGITS)
def test_the_chances_of_all_tokens_sum_to_one(values: list[float]) -> None:
    _, best = top_logprobs(row(values), 0, len(values))
    assert sum(math.exp(value) for _, value in best) == pytest.approx(1)


def test_logprobs_of_a_row_with_holes_are_numbers_or_impossible() -> None:
    logprob, best = top_logprobs(row([math.nan, 0.0, -math.inf, 0.0]), 1, 4)
    assert logprob == pytest.approx(math.log(0.5))
    assert [value for _, value in best][2:] == [-math.inf, -math.inf]
