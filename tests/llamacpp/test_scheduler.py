"""Shares of a step, turns, and who leaves a full cache: what holds for any sequences."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from engines.llamacpp.scheduler import (
    WHOLE,
    Turn,
    Waiting,
    next_turn,
    share_step,
    who_catches_up,
    who_gives_way,
)

PENDING = st.lists(st.one_of(st.just(1), st.integers(1, 3_000)), min_size=1, max_size=40)
BATCH = st.integers(1, 600)
HELD = st.lists(st.integers(0, 500), min_size=1, max_size=20).map(
    lambda used: [(slot + 100, cells) for slot, cells in enumerate(used)]
)


def waiting(pending: list[int]) -> list[Waiting]:
    return [Waiting(slot, count) for slot, count in enumerate(pending)]


@given(PENDING, BATCH)
def test_a_step_never_takes_more_than_its_tokens(pending: list[int], batch: int) -> None:
    assert sum(share_step(waiting(pending), batch).values()) <= batch


@given(PENDING, BATCH)
def test_nobody_gets_nothing_as_a_share_or_more_than_is_needed(
    pending: list[int], batch: int
) -> None:
    for slot, share in share_step(waiting(pending), batch).items():
        assert 0 < share <= pending[slot]


@given(PENDING, BATCH)
def test_whoever_decodes_gets_a_token_while_there_is_room(pending: list[int], batch: int) -> None:
    shares = share_step(waiting(pending), batch)
    decoding = [slot for slot, count in enumerate(pending) if count == 1]
    assert [slot for slot in decoding if slot in shares] == decoding[:batch]


@given(PENDING, BATCH)
def test_no_room_is_left_while_somebody_waits(pending: list[int], batch: int) -> None:
    assert sum(share_step(waiting(pending), batch).values()) == min(batch, sum(pending))


@given(PENDING, BATCH)
def test_a_shorter_prompt_is_never_given_less_of_itself_than_a_longer_one_but_the_oldest(
    pending: list[int], batch: int
) -> None:
    shares = share_step(waiting(pending), batch)
    _, *others = [slot for slot, count in enumerate(pending) if count > 1] or [0]
    prompts = sorted((pending[slot], slot) for slot in others)
    left = [count - shares.get(slot, 0) for count, slot in prompts]
    assert all(a <= b + 1 for a, b in pairwise(left))


@given(PENDING, BATCH, st.integers(1, 600))
def test_prompts_take_no_more_than_their_bound_and_all_of_it(
    pending: list[int], batch: int, bound: int
) -> None:
    shares = share_step(waiting(pending), batch, bound)
    decoding = sum(count == 1 for count in pending)
    wanted = sum(count for count in pending if count > 1)
    taken = sum(share for slot, share in shares.items() if pending[slot] > 1)
    assert taken == min(max(0, batch - decoding), bound, wanted)


@given(st.lists(st.integers(2, 3_000), min_size=1, max_size=40), BATCH)
def test_the_oldest_prompt_gets_a_quarter_however_many_shorter_ones_there_are(
    pending: list[int], batch: int
) -> None:
    assert share_step(waiting(pending), batch)[0] >= min(pending[0], batch / 4)


@given(st.integers(65, 3_000), st.integers(2, 40), BATCH)
def test_of_prompts_that_are_alike_one_is_read_after_the_other(
    pending: int, count: int, batch: int
) -> None:
    shares = share_step(waiting([pending] * count), batch)
    *whole, last = [shares[slot] for slot in sorted(shares)]
    assert sorted(shares) == list(range(len(shares)))
    assert all(share == pending for share in whole)
    assert last <= pending


@given(st.lists(st.integers(2, 64), min_size=2, max_size=40))
@example([50, 49])
def test_short_prompts_are_read_one_after_the_other_where_there_is_room_for_one(
    pending: list[int],
) -> None:
    shares = share_step(waiting(pending), 512, 64)
    assert any(share == pending[slot] for slot, share in shares.items())


@given(PENDING, st.integers(1, 60), st.lists(st.integers(0, 30), min_size=40, max_size=40))
def test_nobody_starves(pending: list[int], batch: int, answers: list[int]) -> None:
    left = dict(enumerate(pending))  # pending tokens, and then one for each token of the answer
    to_say = dict(enumerate(answers))
    work = sum(pending) + sum(answers[: len(pending)])
    steps = 0
    while left:
        shares = share_step([Waiting(slot, count) for slot, count in left.items()], batch)
        for slot, share in shares.items():
            left[slot] -= share
            if left[slot] == 0 and to_say[slot] > 0:
                to_say[slot] -= 1
                left[slot] = 1
            elif left[slot] == 0:
                del left[slot]
        steps += 1
        assert steps <= work
    # Each step takes all that it can: a full batch, or a token of everybody.
    assert steps <= work / batch + max(
        -(-count // batch) + said for count, said in zip(pending, answers, strict=False)
    )


@given(HELD, st.integers(0, 600), st.integers(0, 400))
def test_leaving_frees_enough_or_leaves_the_oldest_alone(
    held: list[tuple[int, int]], wanted: int, spare: int
) -> None:
    cells = sum(used for _, used in held) + spare
    leaving = who_gives_way(held, wanted, cells)
    kept = sum(used for slot, used in held if slot not in leaving)
    assert held[0][0] not in leaving
    assert cells - kept >= wanted or len(leaving) == len(held) - 1


@given(HELD, st.integers(0, 600), st.integers(0, 400))
def test_only_the_youngest_leave_and_no_more_than_needed(
    held: list[tuple[int, int]], wanted: int, spare: int
) -> None:
    cells = sum(used for _, used in held) + spare
    leaving = who_gives_way(held, wanted, cells)
    youngest_first = [slot for slot, _ in reversed(held)]
    assert leaving == youngest_first[: len(leaving)]
    if leaving:
        kept = sum(used for slot, used in held if slot not in leaving[:-1])
        assert cells - kept < wanted


@given(
    st.lists(st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=60),
    st.lists(st.integers(1, 64), min_size=60, max_size=60),
)
def test_a_turn_is_always_of_an_adapter_that_somebody_wants(
    wanted: list[set[int]], tokens: list[int]
) -> None:
    turn = Turn()
    for wants, taken in zip(wanted, tokens, strict=False):
        turn = next_turn(turn, wants, 64)
        assert turn.adapter in wants
        turn = turn.after(taken)


@given(
    st.sets(st.integers(0, 9), min_size=1, max_size=6),
    st.lists(st.integers(1, 64), min_size=100, max_size=100),
)
def test_nobody_waits_for_more_than_a_turn_of_each_other_adapter(
    wanted: set[int], tokens: list[int]
) -> None:
    turn, waited = Turn(), dict.fromkeys(wanted, 0)
    for taken in tokens:
        turn = next_turn(turn, wanted, 64)
        turn = turn.after(taken)
        waited = {a: 0 if a == turn.adapter else steps + 1 for a, steps in waited.items()}
        assert max(waited.values()) <= 4 * (len(wanted) - 1)
        assert len(wanted) == 1 or turn.tokens - taken < 64


def test_an_adapter_that_nobody_else_waits_for_goes_on() -> None:
    turn = next_turn(Turn(), {3}, 64)
    for _ in range(20):
        turn = turn.after(64)
        assert next_turn(turn, {3}, 64) == turn
    assert next_turn(turn, {1, 3}, 64) == Turn(1)


MIXED = st.lists(
    st.builds(
        Waiting, st.integers(0, 99), st.one_of(st.just(1), st.integers(1, 200)), st.booleans()
    )
)


@given(MIXED)
def test_short_prompts_go_first_only_where_all_who_decode_have_just_begun(
    sequences: list[Waiting],
) -> None:
    first = who_catches_up(sequences)
    assert all(1 < one.pending <= WHOLE for one in first)
    decoding = [one.begins for one in sequences if one.pending == 1]
    short = [one for one in sequences if 1 < one.pending <= WHOLE]
    assert first == (short if decoding and all(decoding) else [])
