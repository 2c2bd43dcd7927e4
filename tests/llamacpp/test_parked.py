"""What has ended and is kept: the longest common start is found, and the bounds hold."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.parked import Leaving, Parked
from engines.llamacpp.prefixes import NOTHING, Tokens, common_length

TEXT = st.lists(st.integers(0, 1), min_size=1, max_size=40)


def tokens(*values: int) -> Tokens:
    return np.array(values, dtype=np.int32)


def leaving(text: list[int], adapter: int = 0, size: int | None = None) -> Leaving:
    state = np.zeros(len(text) if size is None else size, dtype=np.uint8)
    return Leaving(tokens(*text), adapter, state)


def parked(*, most_tokens: int = 1_000, most_bytes: int = 1_000, cuts: bool = True) -> Parked:
    return Parked(most_tokens, most_bytes, cuts=cuts)


def test_the_one_with_the_longest_common_start_is_found() -> None:
    kept = parked()
    for text in ([1, 1, 1], [1, 2, 2, 2], [2]):
        kept.keep(leaving(text))
    found = kept.find(tokens(1, 2, 2, 3))
    assert found.reused == 3
    assert found.source is not None
    assert list(kept.take(found.source).tokens) == [1, 2, 2, 2]
    assert kept.find(tokens(3, 3)) == NOTHING


def test_one_token_is_left_to_evaluate() -> None:
    kept = parked()
    kept.keep(leaving([1, 2, 3]))
    assert kept.find(tokens(1, 2, 3)).reused == 2
    assert kept.find(tokens(1)) == NOTHING


def test_what_cannot_be_cut_is_found_by_prompts_that_go_on_from_all_of_it() -> None:
    kept = parked(cuts=False)
    kept.keep(leaving([1, 2, 3]))
    assert kept.find(tokens(1, 2, 3, 4)).reused == 3
    assert kept.find(tokens(1, 2, 3)) == NOTHING
    assert kept.find(tokens(1, 2, 4, 4)) == NOTHING
    assert kept.holds(tokens(1, 2, 3))
    assert not kept.holds(tokens(1, 2))
    kept.keep(leaving([1, 2, 3, 4]))
    assert len(kept) == 2  # the shorter one is still of use to what goes on otherwise


def test_adapters_do_not_mix() -> None:
    kept = parked()
    kept.keep(leaving([1, 2, 3], adapter=1))
    kept.keep(leaving([1, 2, 3, 4], adapter=2))
    assert kept.find(tokens(1, 2, 3, 9)) == NOTHING
    assert kept.find(tokens(1, 2, 3, 9), 1).reused == 3
    assert not kept.holds(tokens(1, 2))
    assert kept.holds(tokens(1, 2), 2)
    assert len(kept) == 2


def test_a_longer_one_takes_the_place_of_what_it_begins_with() -> None:
    kept = parked()
    kept.keep(leaving([1, 2]))
    kept.keep(leaving([1, 2, 3]))
    assert len(kept) == 1
    assert kept.bytes == 3
    assert kept.holds(tokens(1, 2))


def test_the_least_recently_used_leaves_first() -> None:
    kept = parked(most_bytes=4)
    kept.keep(leaving([1, 1]))
    kept.keep(leaving([2, 2]))
    assert kept.holds(tokens(1, 1))  # which counts as use
    kept.keep(leaving([3, 3]))
    assert kept.holds(tokens(1, 1))
    assert not kept.holds(tokens(2, 2))


def test_a_state_that_is_larger_than_all_room_is_not_kept_and_takes_none_from_others() -> None:
    kept = parked(most_bytes=4)
    kept.keep(leaving([2, 2]))
    kept.keep(leaving([1, 1], size=5))
    assert (len(kept), kept.bytes) == (1, 2)
    assert kept.find(tokens(1, 1, 1)) == NOTHING


@given(st.lists(st.tuples(TEXT, st.integers(0, 1)), max_size=30), TEXT, st.booleans())
def test_bounds_hold_and_what_is_found_is_the_longest(
    texts: list[tuple[list[int], int]], prompt: list[int], cuts: bool
) -> None:
    kept = parked(most_tokens=400, most_bytes=90, cuts=cuts)
    for text, adapter in texts:
        if not kept.holds(tokens(*text), adapter):
            kept.keep(leaving(text, adapter))
        held = [*kept._kept.values()]
        assert kept.bytes == sum(one.state.nbytes for one in held) <= 90
        assert sum(max(64, len(one.tokens)) for one in held) <= 400
    usable = [
        min(common_length(tokens(*prompt), one.tokens), len(prompt) - 1)
        for one in held_by(kept, 0)
        if cuts or is_start_of(one.tokens, prompt)
    ]
    found = kept.find(tokens(*prompt), 0)
    assert found.reused == max(usable, default=0)
    assert (found == NOTHING) is (found.reused == 0)
    if found.source is not None:
        taken = kept.take(found.source)
        assert taken.adapter == 0
        assert list(taken.tokens[: found.reused]) == prompt[: found.reused]
        assert next(reversed(kept._kept)) == found.source  # it counts as the last used


def held_by(kept: Parked, adapter: int) -> list[Leaving]:
    return [one for one in kept._kept.values() if one.adapter == adapter]


def is_start_of(one: Tokens, prompt: list[int]) -> bool:
    return len(one) < len(prompt) and list(one) == prompt[: len(one)]
