"""Where pictures stand among the tokens of a prompt."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.batches import View, rows_of
from engines.llamacpp.pictures import (
    NO_PICTURES,
    Layout,
    Picture,
    ids_of,
    is_text,
    laid_out,
    tokens_of,
)


def picture(count: int, steps: int, name: bytes = b"a") -> Picture:
    vectors = np.zeros((count, 1), dtype=np.float32)
    places = np.arange(count, dtype=np.int32)[None]
    return Picture(ids_of(name, 0, count), vectors, places, steps, whole=False)


@st.composite
def prompts(draw: st.DrawFn) -> tuple[list[int], list[Picture]]:
    """Draw a prompt of text and pictures, the same picture twice at times."""
    known = [picture(n, min(n, k), bytes([n, k])) for n in (1, 4, 9) for k in (1, 3)]
    tokens, used = list[int](), []
    for part in draw(st.lists(st.one_of(st.integers(0, 3), st.sampled_from(known)), max_size=8)):
        tokens += tokens_of([part]) if isinstance(part, Picture) else [5] * part
        used += [part] if isinstance(part, Picture) else []
    return [*tokens, 7], used


@given(prompts())
def test_positions_grow_by_one_a_word_and_by_its_steps_a_picture(
    drawn: tuple[list[int], list[Picture]],
) -> None:
    tokens, used = drawn
    layout = laid_out(tokens, used)
    at, position = 0, 0
    while at < len(tokens):
        assert layout.position(at) == position
        found = layout.next(at)
        if found is None:
            assert is_text(tokens[at])
            at, position = at + 1, position + 1
            continue
        seen, begun = found
        assert begun == 0
        inside = range(at, at + len(seen.ids))
        assert {layout.position(one) for one in inside} == {position}
        assert [layout.next(one) for one in inside] == [(seen, n) for n in range(len(seen.ids))]
        at, position = at + len(seen.ids), position + seen.steps
    assert layout.position(len(tokens)) == position


@given(prompts())
def test_what_is_shared_ends_in_no_picture_and_is_as_long_as_it_can_be(
    drawn: tuple[list[int], list[Picture]],
) -> None:
    tokens, used = drawn
    layout = laid_out(tokens, used)
    for length in range(len(tokens) + 1):
        kept = layout.whole(length)
        found = layout.next(kept)
        assert kept <= length
        assert found is None or found[1] == 0
        if kept < length:
            assert found is not None
            assert kept + len(found[0].ids) > length


@given(prompts())
def test_text_ahead_is_what_comes_before_the_next_picture(
    drawn: tuple[list[int], list[Picture]],
) -> None:
    tokens, used = drawn
    layout = laid_out(tokens, used)
    for at in range(len(tokens)):
        count = 0
        while at + count < len(tokens) and is_text(tokens[at + count]):
            count += 1
        assert layout.ahead(at, len(tokens)) == count


def test_without_pictures_a_token_stands_where_it_is_counted() -> None:
    assert not NO_PICTURES
    assert laid_out([1, 2, 3], []) is NO_PICTURES
    assert [NO_PICTURES.position(at) for at in range(4)] == [0, 1, 2, 3]
    assert NO_PICTURES.whole(2) == 2
    assert (NO_PICTURES.next(1), NO_PICTURES.ahead(1, 3)) == (None, 2)
    assert bool(Layout({0: picture(1, 1)}))


def test_an_image_has_the_same_numbers_each_time_and_another_image_others() -> None:
    first, again, other = (ids_of(name, 0, 64) for name in (b"a", b"a", b"b"))
    assert first == again
    assert not set(first) & set(other)
    assert not any(map(is_text, first))
    assert min(first) >= -(1 << 31)
    assert all(one != next_ for one, next_ in pairwise(first))
    assert ids_of(b"a", 1, 64) != first


def test_what_a_batch_points_to_lives_as_long_as_it_does() -> None:
    batch = rows_of(View(3, 7, picture(8, 8), begun=2, count=4))
    kinds = (np.int8, np.int32, np.int64)
    noise = [np.full(count, -1, dtype=kind) for count in range(1, 40) for kind in kinds]
    assert [batch.seq_id[row][0] for row in range(4)] == [3] * 4
    assert (batch.pos[:4], batch.n_seq_id[:4]) == ([9, 10, 11, 12], [1] * 4)
    assert (batch.logits[:4], batch.embd[:4]) == ([0] * 4, [0.0] * 4)
    assert noise
