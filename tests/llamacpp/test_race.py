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


@pytest.mark.parametrize("rest", [5e-4, 2e-3], ids=["run as one", "run each"])
def test_the_many_that_are_unlikely_win_as_often_as_they_should(rest: float) -> None:
    size, race = 8_000, Race([2])
    all_weights: Floats = np.full(size, rest, dtype=np.float32)
    all_weights[5], all_weights[6_000] = 1, 0.5
    wins: Counter[int] = Counter()
    for _ in range(RACES):
        race.begin()
        wins[race.winner_of_all(all_weights.copy())] += 1
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
        weights: Floats = np.zeros(50, dtype=np.float32)
        weights[40] = 1
        assert race.winner_of_all(weights) == 40


def test_one_token_is_as_lucky_whoever_else_runs() -> None:
    alone, among = Race([4]), Race([4])
    for _ in range(100):
        assert alone.begin() == among.begin()
        few = alone.winner(np.array([10, 20]), np.array([1, 1], dtype=np.float32))
        many = among.winner(np.array([10, 20, 30]), np.array([1, 1, 1e-9], dtype=np.float32))
        assert few == many
