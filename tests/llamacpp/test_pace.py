"""Prompts take as much of a step as those that decode, whatever steps cost."""

from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.pace import Pace

COST = st.floats(0.0001, 0.05)
COUNT = st.integers(1, 64)


def learned(alone_s: float, token_s: float, decoding: int) -> Pace:
    """Return a pace that has seen steps of these costs."""
    pace = Pace()
    for _ in range(50):
        pace.after(decoding, 0, alone_s)
        pace.after(decoding, 32, alone_s + 32 * token_s)
    return pace


@given(COST, COST, COUNT)
def test_one_long_prompt_at_most_doubles_a_step_unless_the_least_does(
    alone_s: float, token_s: float, decoding: int
) -> None:
    tokens = learned(alone_s, token_s, decoding).prompt_tokens(decoding, [1_500], 512)
    assert tokens * token_s <= alone_s * 1.01 or tokens == 4


@given(COST, COST, COUNT)
def test_prompts_never_get_less_time_than_those_that_decode(
    alone_s: float, token_s: float, decoding: int
) -> None:
    tokens = learned(alone_s, token_s, decoding).prompt_tokens(decoding, [1_500], 512)
    # Less a block of the matrix products, of which a part costs as much as the whole.
    block = 16 if tokens >= 32 else 4
    assert (tokens + block) * token_s >= alone_s * 0.99 or tokens == 512
    assert tokens % block == 0


@given(COST, COST, COUNT, COUNT)
def test_more_prompts_than_those_that_decode_get_that_much_more(
    alone_s: float, token_s: float, decoding: int, reading: int
) -> None:
    pace = learned(alone_s, token_s, decoding)
    tokens = pace.prompt_tokens(decoding, [1_500] * reading, 100_000)
    wanted = max(1, reading / decoding) * alone_s / token_s
    assert abs(tokens - max(4, wanted)) <= 16 + 0.01 * wanted


@given(COUNT)
def test_a_whole_batch_is_read_where_nobody_decodes(reading: int) -> None:
    assert Pace().prompt_tokens(0, [1_500] * reading, 512) == 512


def test_before_anything_is_known_a_piece_of_a_prompt_is_small() -> None:
    assert Pace().prompt_tokens(3, [1_500], 512) == 64
    assert Pace().prompt_tokens(3, [1_500], 16) == 16


def test_a_step_of_another_number_of_sequences_is_taken_for_the_nearest() -> None:
    pace = learned(0.01, 0.001, 4)
    assert pace.prompt_tokens(6, [1_500], 512) == pace.prompt_tokens(4, [1_500], 512)


def test_a_short_prompt_is_read_in_one_step() -> None:
    pace = learned(0.01, 0.001, 4)
    assert pace.prompt_tokens(4, [1_500], 512) < 64
    assert pace.prompt_tokens(4, [1_500, 60], 512) == 64
