"""Tokens win by their chances, in a race of some as in one of all."""

from collections import Counter

import numpy as np
import pytest

from engines.llamacpp.race import Floats, Race

RACES = 20_000


def near(share: float) -> float:
    """Return five standard deviations of a share over all races."""
    return 5 * float(np.sqrt(share * (1 - share) / RACES))


def test_tokens_win_by_their_chances() -> None:
    race, tokens = Race([1]), np.array([7, 90_000, 3])
    weights: Floats = np.array([1, 0.5, 0.1], dtype=np.float32)
    wins: Counter[int] = Counter()
    for _ in range(RACES):
        race.begin()
        wins[race.winner(tokens, weights)] += 1
    for place, weight in enumerate(weights):
        share = float(weight / weights.sum())
        assert abs(wins[place] / RACES - share) < near(share)


@pytest.mark.parametrize("rest", [5e-4, 2e-3, 0.2], ids=["few points", "more", "all of them"])
def test_the_many_that_are_unlikely_win_as_often_as_they_should(rest: float) -> None:
    size, race = 8_000, Race([2])
    all_weights: Floats = np.full(size, rest, dtype=np.float32)
    all_weights[5], all_weights[6_000] = 1, 0.5
    logits: Floats = (np.log(all_weights) / 2).astype(np.float32)
    wins: Counter[int] = Counter()
    for _ in range(RACES):
        race.begin()
        wins[race.winner_of_all(logits, 0.5)] += 1
    total = float(all_weights.sum())
    for token, share in ((5, 1 / total), (6_000, 0.5 / total)):
        assert abs(wins[token] / RACES - share) < near(share)
    unlikely = {token: count for token, count in wins.items() if token not in {5, 6_000}}
    assert abs(sum(unlikely.values()) / RACES - (1 - 1.5 / total)) < near(1.5 / total)
    assert max(unlikely.values()) < 0.01 * RACES


def test_what_is_impossible_never_wins() -> None:
    race = Race([3])
    for _ in range(100):
        race.begin()
        logits: Floats = np.full(50, -np.inf, dtype=np.float32)
        logits[40] = 1
        assert race.winner_of_all(logits, 1e-4) == 40


def test_a_chance_too_small_to_divide_by_is_none() -> None:
    logits: Floats = np.full(1_000, -740, dtype=np.float32)
    logits[7] = 0
    race = Race([1])
    race.begin()
    assert race.winner_of_all(logits, 1.0) == 7


def test_where_all_are_alike_each_wins_as_often() -> None:
    race, wins = Race([5]), np.zeros(10_000)
    logits: Floats = np.zeros(10_000, dtype=np.float32)
    for _ in range(RACES):
        race.begin()
        wins[race.winner_of_all(logits, 1)] += 1
    assert wins.max() < 15
    assert abs(np.count_nonzero(wins) / 10_000 - (1 - np.exp(-2))) < 0.02


def test_logits_that_are_a_little_otherwise_have_the_same_winner_nearly_always() -> None:
    chance = np.random.default_rng(6)
    one, other, same = Race([7]), Race([7]), 0
    for spread in (1, 4, 8) * 100:
        logits: Floats = chance.normal(0, spread, 20_000).astype(np.float32)
        noise = chance.normal(0, 1e-3, 20_000).astype(np.float32)
        assert one.begin() == other.begin()
        same += one.winner_of_all(logits, 1) == other.winner_of_all(logits + noise, 1)
    assert same >= 294


def test_one_token_is_as_lucky_whoever_else_runs() -> None:
    alone, among = Race([4]), Race([4])
    for _ in range(100):
        assert alone.begin() == among.begin()
        few = alone.winner(np.array([10, 20]), np.array([1, 1], dtype=np.float32))
        many = among.winner(np.array([10, 20, 30]), np.array([1, 1, 1e-9], dtype=np.float32))
        assert few == many
