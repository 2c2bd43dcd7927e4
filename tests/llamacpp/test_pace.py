"""Prompts take a bounded part of a step, whatever steps cost."""

from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.pace import Pace, together

COST = st.floats(0.0001, 0.05)
COUNT = st.integers(1, 64)


def learned(alone_s: float, token_s: float, decoding: int) -> Pace:
    """Return a pace that has seen steps of these costs."""
    pace = Pace()
    for _ in range(50):
        pace.after(decoding, 0, alone_s)
        pace.after(decoding, 32, alone_s + 32 * token_s)
    return pace


@given(COST, COST, st.integers(8, 64))
def test_one_long_prompt_beside_many_at_most_doubles_a_step_unless_the_least_does(
    alone_s: float, token_s: float, decoding: int
) -> None:
    tokens = learned(alone_s, token_s, decoding).prompt_tokens(decoding, [1_500], 512)
    # One more fills a block of the matrix products, which costs as much without it.
    assert (tokens - 1) * token_s <= alone_s * 1.01 or tokens <= 5


@given(COST, COST, COUNT, COUNT)
def test_a_step_is_never_longer_than_prompts_have_a_right_to_or_a_bounded_gap(
    alone_s: float, token_s: float, decoding: int, reading: int
) -> None:
    pace = learned(alone_s, token_s, decoding)
    tokens = pace.prompt_tokens(decoding, [1_500] * reading, 100_000)
    most = int(max(alone_s * max(1, reading / decoding), 0.4) / token_s)
    # What is more than half a tile of attention is rounded up to a whole one.
    tile = tokens % 64 == 0 and tokens - most <= 32
    # And one more fills the last block of those who decode.
    filled = (decoding + tokens) % 16 == 0 and tokens - max(4, most) <= 1
    assert tokens <= max(4, most * 1.01) or tile or filled


@given(COST, COST, COUNT)
def test_prompts_never_get_less_time_than_those_that_decode(
    alone_s: float, token_s: float, decoding: int
) -> None:
    tokens = learned(alone_s, token_s, decoding).prompt_tokens(decoding, [1_500], 512)
    # Less a tile of attention, or a block of the matrix products: a part costs as much as a whole.
    fills = (decoding + tokens) % 16 == 0
    block = 64 if tokens >= 64 else 32 if fills else 16 if tokens >= 32 else 4
    assert (tokens + block) * token_s >= alone_s * 0.99 or tokens == 512
    assert fills or tokens % block == 0


@given(COST, COST, COUNT, COUNT)
def test_more_prompts_than_those_that_decode_get_at_least_that_much_more(
    alone_s: float, token_s: float, decoding: int, reading: int
) -> None:
    pace = learned(alone_s, token_s, decoding)
    tokens = pace.prompt_tokens(decoding, [1_500] * reading, 100_000)
    wanted = max(1, reading / decoding) * alone_s / token_s
    assert tokens >= max(4, wanted * 0.99 - 64)


@given(COST, COST, st.integers(1, 32))
def test_a_prompt_gets_more_beside_fewer(alone_s: float, token_s: float, decoding: int) -> None:
    pace = learned(alone_s, token_s, decoding)
    beside = [pace.prompt_tokens(count, [1_500], 100_000) for count in (decoding, 2 * decoding)]
    assert beside[0] >= beside[1] - 16  # which is a block of the matrix products


def test_a_piece_of_more_than_half_a_tile_is_a_whole_one() -> None:
    assert learned(0.02, 0.001, 4).prompt_tokens(4, [1_500], 512) == 64
    assert learned(0.04, 0.001, 8).prompt_tokens(8, [1_500], 512) == 32


def test_a_small_piece_fills_the_last_block_of_those_who_decode() -> None:
    for decoding, tokens in ((8, 8), (10, 6), (12, 4), (24, 8)):
        for token_s in (0.045 / 8, 0.045 / 15):
            found = learned(0.045, token_s, decoding).prompt_tokens(decoding, [1_500], 512)
            assert found == tokens
            assert together(decoding, found)
    assert learned(0.08, 0.01, 16).prompt_tokens(16, [1_500], 512) == 8
    assert not together(16, 8)  # their block is full
    assert not together(8, 64)  # a tile of attention


@given(st.floats(0.002, 0.05), st.floats(0.0005, 0.02), st.integers(1, 16), st.integers(1, 16))
def test_behind_a_long_piece_those_who_decode_get_a_third_of_its_time(
    alone_s: float, token_s: float, decoding: int, reading: int
) -> None:
    pace, waiting = Pace(), [100_000] * min(reading, 3 * decoding)
    prompt_s, decode_s, pieces = 0.0, 0.0, 0
    for _ in range(1_000):
        wait = pace.prompts_wait(decoding, waiting)
        tokens = 0 if wait else pace.prompt_tokens(decoding, waiting, 512)
        pace.after(decoding, 0, alone_s)
        decode_s += alone_s
        if tokens:
            pace.after(0, tokens, tokens * token_s)
            prompt_s += tokens * token_s
            pieces += 1
    # Four tokens are the least, and more than half a tile of attention is a whole one.
    rounded_s = pieces * 32 * token_s
    assert decode_s >= (prompt_s - rounded_s) / 3 - 0.2
    # Nor do prompts wait for long: for a third of their time, and what is left of a step.
    assert decode_s <= prompt_s / 3 + 1.01 * alone_s * (pieces + 1)


def test_a_short_prompt_does_not_wait_for_those_who_were_held_up_by_a_long_one() -> None:
    pace = learned(0.02, 0.004, 1)
    pace.after(0, 64, 0.256)
    assert pace.prompts_wait(1, [1_500])
    assert not pace.prompts_wait(1, [1_500, 40])


def test_nobody_is_owed_time_for_what_was_read_before_they_came() -> None:
    pace = learned(0.02, 0.004, 1)
    pace.after(0, 512, 2.0)
    assert not pace.prompts_wait(0, [1_500])
    assert not pace.prompts_wait(1, [1_500])


@given(COUNT)
def test_a_whole_batch_is_read_where_nobody_decodes(reading: int) -> None:
    assert Pace().prompt_tokens(0, [1_500] * reading, 512) == 512


def test_before_anything_is_known_a_piece_of_a_prompt_is_small() -> None:
    assert Pace().prompt_tokens(3, [1_500], 512) == 64
    assert Pace().prompt_tokens(3, [1_500], 16) == 16


def test_a_step_of_another_number_of_sequences_is_taken_for_the_nearest() -> None:
    pace = learned(0.01, 0.001, 8)
    assert pace.prompt_tokens(24, [1_500], 512) == pace.prompt_tokens(8, [1_500], 512)


def test_a_short_prompt_is_read_in_one_step() -> None:
    pace = learned(0.01, 0.001, 4)
    assert pace.prompt_tokens(4, [1_500], 512) < 64
    assert pace.prompt_tokens(4, [1_500, 60], 512) == 64


@given(COST, COUNT, st.integers(1, 100_000))
def test_an_idle_worker_waits_for_others_for_milliseconds_at_most(
    token_s: float, batch_tokens: int, prompt_tokens: int
) -> None:
    waited_s = learned(0.01, token_s, 1).patience_s(prompt_tokens, batch_tokens)
    assert 0 <= waited_s <= min(0.03, 0.021 * batch_tokens * token_s)


def test_who_fills_a_step_waits_for_nobody() -> None:
    pace = learned(0.02, 0.005, 1)
    assert pace.patience_s(511, 512) > 0
    assert pace.patience_s(512, 512) == 0
