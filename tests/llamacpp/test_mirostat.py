"""Mirostat's bound and sets are those of its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.mirostat import Floats, Mirostat, Surprise

LOGITS = st.lists(st.integers(-80, 80), min_size=2, max_size=24, unique=True)


def weights_of(values: list[int]) -> Floats:
    logits: Floats = np.array(values, dtype=np.float32) / np.float32(8)
    weights: Floats = np.exp(logits - logits.max())
    return weights


def guessed(chance: list[float], bound: float, vocabulary: int) -> float:
    """Return the count of tokens by the first version, term by term."""
    best = sorted(chance, reverse=True)[:100]
    above = below = 0.0
    for at in range(len(best) - 1):
        step = math.log((at + 2) / (at + 1))
        above += step * math.log(best[at] / best[at + 1])
        below += step * step
    exponent = above / below
    over = exponent - 1
    return float(((over * 2**bound) / (1 - vocabulary ** (-over))) ** (1 / exponent))


@given(LOGITS, st.floats(0.1, 8))
def test_the_second_version_draws_nothing_more_surprising_than_its_bound(
    values: list[int], tau: float
) -> None:
    weights = weights_of(values)
    chance = weights / weights.sum()
    expected = {t for t, p in enumerate(chance) if -math.log2(p) <= 2 * tau}
    close = any(abs(-math.log2(p) - 2 * tau) < 1e-4 for p in chance)
    found = set(Surprise(Mirostat(2, tau=tau)).allowed(weights).tolist())
    assert close or found == (expected or {int(weights.argmax())})


@given(LOGITS, st.floats(0.1, 8))
def test_the_first_version_draws_from_as_many_as_zipfs_law_says(
    values: list[int], tau: float
) -> None:
    weights = weights_of(values)
    count = guessed([float(w / weights.sum()) for w in weights], 2 * tau, len(values))
    found = Surprise(Mirostat(1, tau=tau)).allowed(weights)
    assert len(found) == pytest.approx(max(1, min(count, len(values))), abs=1.01)
    assert min(weights[found]) >= sorted(weights)[-len(found)]


@pytest.mark.parametrize("version", [1, 2])
def test_the_bound_moves_by_what_was_more_or_less_surprising(version: int) -> None:
    weights = weights_of([8, 0])
    surprise = Surprise(Mirostat(version, tau=3.0, eta=0.5))
    tokens = np.array([0, 1])
    surprise.learn(weights, tokens, 1)
    told = -math.log2(weights[1] / weights.sum())
    assert surprise._bound == pytest.approx(6 - 0.5 * (told - 3))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("row", [[1.0] * 300, [1.0, *[0.0] * 300], [1.0, 1.0, *[0.0] * 9], [1.0]])
def test_flat_and_certain_rows_leave_something(version: int, row: list[float]) -> None:
    weights: Floats = np.array(row, dtype=np.float32)
    surprise = Surprise(Mirostat(version, tau=100.0))
    for _ in range(50):
        tokens = surprise.allowed(weights)
        assert 1 <= len(tokens) <= len(row)
        surprise.learn(weights, tokens, int(tokens[weights[tokens].argmax()]))
