"""A draw among few tokens in plain numbers is the same as one in arrays."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.few import FEW, winner_of_few
from engines.llamacpp.narrowing import Narrowing
from engines.llamacpp.race import Race
from engines.llamacpp.sampling import NothingToPick, Sampler, SamplingParams

# Apart enough that rounding puts nobody on the other side of a bound.
STEPS = st.lists(st.integers(-60, 40), min_size=1, max_size=FEW, unique=True)


@given(
    STEPS,
    st.floats(0.2, 2),
    st.sampled_from([0.0, 0.02, 0.3]),
    st.sampled_from([0.0, 0.51, 0.83, 1.0]),
    st.integers(0, 2**32),
)
def test_the_winner_is_who_wins_in_arrays(
    steps: list[int], temperature: float, min_p: float, top_p: float, seed: int
) -> None:
    logits = [step / 3 + 0.01 for step in steps]
    tokens = [7 * at + 3 for at in range(len(logits))]
    one, other = Race([seed]), Race([seed])
    assert one.begin() == other.begin()
    found = winner_of_few(one, tokens, logits, temperature=temperature, min_p=min_p, top_p=top_p)
    values = np.array(logits, dtype=np.float64)
    weights = np.exp((values - values.max()) / temperature).astype(np.float32)
    kept = Narrowing(min_p=min_p, top_p=top_p).allowed(weights, 1.0)
    kept = np.arange(len(weights)) if kept is None else kept
    expected = kept[other.winner(np.array(tokens)[kept], weights[kept])]
    assert found == tokens[expected]


def test_one_token_waits_as_long_as_among_many() -> None:
    race = Race([9])
    race.begin()
    tokens = np.array([0, 5, 151_935])
    even = np.ones(3, dtype=np.float32)
    waits = [race.wait(int(token)) for token in tokens]
    assert race.winner(tokens, even) == waits.index(min(waits))


def test_tokens_win_by_their_chances() -> None:
    race, wins = Race([1]), Counter[int]()
    for _ in range(20_000):
        race.begin()
        wins[
            winner_of_few(
                race,
                [4, 90_000, 8],
                [0, math.log(0.5), math.log(0.1)],
                temperature=1,
                min_p=0.2,
                top_p=1,
            )
        ] += 1
    assert wins[8] == 0
    assert abs(wins[4] / 20_000 - 2 / 3) < 0.02


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_never_among_the_few_and_infinity_always(bad: float) -> None:
    logits = np.zeros(200, dtype=np.float32)
    logits[7], logits[9] = bad, 5
    picked = {
        Sampler(SamplingParams(seed=seed, narrowing=Narrowing(top_k=2))).pick(logits.copy())
        for seed in range(20)
    }
    assert picked == ({7} if bad == math.inf else picked - {7})


def test_of_nothing_nothing_is_picked() -> None:
    nothing = np.full(200, -np.inf, dtype=np.float32)
    for params in (
        SamplingParams(narrowing=Narrowing(top_k=2)),
        SamplingParams(temperature=0),
        SamplingParams(),
    ):
        with pytest.raises(NothingToPick):
            Sampler(params).pick(nothing.copy())
