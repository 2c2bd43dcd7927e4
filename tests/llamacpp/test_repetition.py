"""DRY costs what its definition says, reckoned slowly over every place of the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.repetition import Dry, Repetition

TOKENS = st.lists(st.integers(0, 3), max_size=40)


def slow(dry: Dry, text: list[int]) -> dict[int, float]:
    """Return the costs: for each earlier place, how many tokens up to it are those at the end."""
    held = text if dry.last_n < 0 else text[max(0, len(text) - dry.last_n) :]
    longest: dict[int, int] = {}
    for place in range(len(held) - 1):
        length = 0
        while length <= place and held[place - length] == held[-1 - length]:
            if held[place - length] in dry.breakers:
                break
            length += 1
        token = held[place + 1]
        if length >= dry.allowed_length and token not in dry.breakers:
            longest[token] = max(length, longest.get(token, 0))
    return {
        token: dry.multiplier * dry.base ** (length - dry.allowed_length)
        for token, length in longest.items()
    }


DRIES = st.builds(
    Dry,
    multiplier=st.just(0.8),
    base=st.floats(1, 3),
    allowed_length=st.integers(1, 4),
    last_n=st.integers(-1, 30),
    breakers=st.frozensets(st.integers(0, 3), max_size=2),
)


@given(TOKENS, TOKENS, DRIES)
def test_each_token_costs_what_its_longest_repetition_does(
    prompt: list[int], said: list[int], dry: Dry
) -> None:
    repetition = Repetition(dry, prompt)
    for at, token in enumerate(said):
        repetition.add(token)
        assert repetition.costs() == pytest.approx(slow(dry, prompt + said[: at + 1]))


def test_a_text_that_says_one_thing_for_ever_costs_no_more_than_a_number_can_hold() -> None:
    for base in (1.0, 1.75, 100.0):
        repetition = Repetition(Dry(100.0, base), [5] * 5_000)
        assert 100 <= repetition.costs()[5] <= 1e30
