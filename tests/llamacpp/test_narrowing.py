"""The sets that may be drawn from are those of llama.cpp's definitions, reckoned slowly."""

import itertools
import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from engines.llamacpp.heat import Dynamic
from engines.llamacpp.narrowing import (
    Floats,
    Narrowing,
    first_within,
    least_within,
    likeliest,
)
from engines.llamacpp.sampling import Sampler, SamplingParams

# Apart from each other, so that float32 and float64 agree on their order.
LOGITS = st.lists(st.integers(-80, 80), min_size=2, max_size=24, unique=True)


def chances(values: list[int]) -> list[float]:
    scores = [math.exp((value - max(values)) / 8) for value in values]
    return [score / sum(scores) for score in scores]


def allowed(values: list[int], luck: float = 0.5, **bounds: float) -> set[int]:
    logits: Floats = np.array(values, dtype=np.float32) / np.float32(8)
    narrowing = Narrowing(**bounds)  # type: ignore[arg-type]  # top_k is a whole number
    short = narrowing.shortlist(logits, 1)
    tokens = np.arange(len(values)) if short is None else short
    kept = narrowing.allowed(np.exp(logits[tokens] - logits.max()), luck)
    return {int(token) for token in (tokens if kept is None else tokens[kept])}


def typical(chance: list[float], bound: float) -> set[int]:
    """Return the locally typical set: nearest to the entropy first."""
    entropy = -sum(p * math.log(p) for p in chance)
    order = sorted(range(len(chance)), key=lambda at: abs(-math.log(chance[at]) - entropy))
    found: set[int] = set()
    total = 0.0
    for token in order:
        found.add(token)
        total += chance[token]
        if total > bound:
            break
    return found


@given(LOGITS, st.floats(0, 0.999))
def test_typical_p_keeps_what_surprises_as_much_as_usual(values: list[int], bound: float) -> None:
    chance = chances(values)
    sums = np.cumsum(sorted(chance))
    assume(all(abs(total - bound) > 1e-5 for total in sums))
    near = {frozenset(typical(chance, bound + off)) for off in (-1e-5, 1e-5)}
    entropy = -sum(p * math.log(p) for p in chance)
    strange = sorted(abs(-math.log(p) - entropy) for p in chance)
    assume(all(b - a > 1e-4 for a, b in itertools.pairwise(strange)))
    assume(len(near) == 1)
    assert allowed(values, typical_p=bound) in near


@given(LOGITS, st.floats(0.01, 0.5), st.floats(0, 0.999))
def test_xtc_leaves_the_least_likely_of_the_top(
    values: list[int], threshold: float, luck: float
) -> None:
    chance = chances(values)
    assume(all(abs(p - threshold) > 1e-6 for p in chance))
    top = sorted((p, token) for token, p in enumerate(chance) if p >= threshold)
    everything = set(range(len(values)))
    lucky = allowed(values, luck, xtc_probability=0.5, xtc_threshold=threshold)
    if luck < 0.5 and len(top) >= 2:
        assert lucky == everything - {token for _, token in top[1:]}
    else:
        assert lucky == everything


def test_xtc_that_leaves_out_all_that_it_can_draws_nothing_impossible() -> None:
    logits: Floats = np.array([3, -np.inf, 2, 1, -np.inf], dtype=np.float32)
    sets = Narrowing(xtc_probability=1, xtc_threshold=0)
    assert Sampler(SamplingParams(narrowing=sets)).pick(logits) == 3


@given(LOGITS, st.integers(1, 30), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_all_sets_together_always_leave_something(
    values: list[int], top_k: int, typical_p: float, min_p: float, top_p: float
) -> None:
    sets = {"top_k": top_k, "typical_p": typical_p, "min_p": min_p, "top_p": top_p}
    left = allowed(values, 0, **sets, xtc_probability=1, xtc_threshold=0.01)
    assert 1 <= len(left) <= top_k


def test_min_p_behind_another_set_measures_by_what_that_has_left() -> None:
    # The likeliest is not typical; of those that are left the best is the measure.
    values = [60, 20, 19, 18, 17, 16, 15]
    left = allowed(values, typical_p=0.05)
    assert len(allowed(values, typical_p=0.05, min_p=0.9)) >= 1
    assert allowed(values, typical_p=0.05, min_p=0.9) <= left


@given(st.integers(1, 40), st.integers(100, 9_000), st.integers(0, 2**32))
def test_the_likeliest_of_a_large_vocabulary_are_those_that_sorting_finds(
    count: int, size: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    logits = (chance.standard_normal(size) * chance.integers(1, 30)).astype(np.float32)
    found = sorted(logits[likeliest(logits, count)])
    assert found == sorted(logits)[-count:]


@given(
    st.integers(1, 9_000),
    st.floats(0.01, 40),
    st.floats(0.01, 0.999),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_the_nucleus_of_a_large_vocabulary_is_what_sorting_finds(
    size: int, spread: float, top_p: float, seed: int, equals: bool
) -> None:
    logits = np.random.default_rng(seed).standard_normal(size) * spread
    logits = logits.round(1) if equals else logits
    weights = np.exp(logits - logits.max()).astype(np.float32)
    wanted = top_p * float(weights.sum(dtype=np.float64))
    least, count = least_within(weights, wanted)
    kept = first_within(weights, least, count)
    sums = np.cumsum(np.sort(weights)[::-1], dtype=np.float64)
    expected = min(int(np.searchsorted(sums, wanted)) + 1, size)
    near = abs(sums - wanted).min() < 1e-6 * sums[-1]  # sums of other parts round differently
    assert abs(count - expected) <= (2 * size if near else 0)
    if not near:
        order = np.lexsort((np.arange(size), -weights))[:expected]
        assert sorted(kept.tolist()) == sorted(order.tolist())


def test_the_smallest_nucleus_of_a_large_vocabulary_of_equals_is_its_first() -> None:
    flat: Floats = np.zeros(9_000, dtype=np.float32)
    sets = Narrowing(top_p=0)
    for params in (SamplingParams(narrowing=sets), SamplingParams(0, sets, dynamic=Dynamic(1))):
        assert Sampler(params).pick(flat.copy()) == 0


def test_of_a_large_nucleus_tokens_are_drawn_by_their_chances() -> None:
    size, draws = 8_000, 3_000
    logits = np.linspace(0, 2, size, dtype=np.float32)
    sampler = Sampler(SamplingParams(narrowing=Narrowing(top_p=0.9), seed=4))
    drawn = np.array([sampler.pick(logits.copy()) for _ in range(draws)])
    chance = np.exp(logits.astype(np.float64))
    kept = np.cumsum(np.sort(chance)[::-1]) <= 0.9 * chance.sum()
    first = size - int(kept.sum()) - 1
    assert drawn.min() >= first
    inside = chance[first:] / chance[first:].sum()
    parts = np.array_split(np.arange(first, size), 8)
    for part in parts:
        expected = inside[part[0] - first : part[-1] + 1 - first].sum()
        seen = np.isin(drawn, part).mean()
        assert abs(seen - expected) < 5 * math.sqrt(expected / draws)
