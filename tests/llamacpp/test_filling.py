"""Steps that are filled up with rows of nobody: where it is faster, and nothing of them stays."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import Limits, Runtime
from engines.llamacpp.filling import MOST_ADDED, Filling
from engines.weights import resolve
from tests.support.batching import batching, client, together
from tests.support.listening import Listener, check_same
from tests.support.toy_runtime import ToyRuntime

ROWS = [7, 13, 14, 15, 23, 29]
_STEPS = 640


# Milliseconds of a step with what is left of a block of 16, one thread (docs/decisions/0026).
_LEFT_MS = {0: 0, 7: 91, 8: 87, 13: 134, 14: 146, 15: 158}


def in_blocks(rows: int) -> float:
    """Return what a step of so many rows took where it was measured."""
    return 121 * (rows // 16) + _LEFT_MS.get(rows % 16, 0)


def each_alike(rows: int) -> float:
    """Return what a step takes where each row costs the same."""
    return 8.0 * rows


def taken(filling: Filling, rows: int, costs: Callable[[int], float]) -> list[int]:
    """Return how many rows were added in each of many steps."""
    found: list[int] = []
    for _ in range(_STEPS):
        added = filling.added(rows)
        filling.after(rows, added, costs(rows + added))
        found.append(added)
    return found


@pytest.mark.parametrize("rows", ROWS)
def test_what_is_faster_full_is_filled_up_but_for_a_look_now_and_then(rows: int) -> None:
    added = taken(Filling(), rows, in_blocks)
    whole = next(n for n in range(MOST_ADDED + 1) if (rows + n) % 8 == 0)
    assert set(added) == {0, whole}
    assert added.count(whole) > 0.95 * _STEPS


@pytest.mark.parametrize("rows", ROWS)
def test_where_each_row_costs_the_same_hardly_any_is_added(rows: int) -> None:
    assert taken(Filling(), rows, each_alike).count(0) > 0.95 * _STEPS


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 6, 8, 9, 12, 16, 17, 32])
def test_what_was_never_faster_is_not_tried(rows: int) -> None:
    assert set(taken(Filling(), rows, in_blocks)) == {0}


def test_it_follows_when_the_other_way_becomes_the_faster_one() -> None:
    filling = Filling()
    assert taken(filling, 15, in_blocks)[-1] == 1
    assert taken(filling, 15, each_alike)[-1] == 0
    assert taken(filling, 15, in_blocks)[-1] == 1


@given(st.lists(st.tuples(st.integers(1, 70), st.floats(0.001, 1)), max_size=200))
def test_no_more_than_three_rows_are_added_and_they_fill_a_block(
    steps: list[tuple[int, float]],
) -> None:
    filling = Filling()
    for rows, took_s in steps:
        added = filling.added(rows)
        assert 0 <= added <= MOST_ADDED
        assert not added or (rows + added) % 8 == 0
        filling.after(rows, added, took_s)


async def test_beside_rows_of_nobody_all_say_what_each_says_alone() -> None:
    runtime = ToyRuntime(cells=1_000, parallel=16, batch_tokens=64, apart=True, fills=True)
    async with batching(runtime) as batcher:
        await together(batcher, [client(3, 30, n) for n in range(15)])
    assert runtime.added.count(1) > 0
    assert runtime.cache == {}


async def test_rows_of_nobody_push_nobody_out_of_the_cache_or_the_batch() -> None:
    tight = ToyRuntime(cells=16 * 24, parallel=16, batch_tokens=15, apart=True, fills=True)
    async with batching(tight) as batcher:
        await together(batcher, [client(4, 20, n) for n in range(15)])
        assert batcher.counts.preemptions == 0
    assert set(tight.added) == {0}  # 15 tokens are all that a step takes
    full = ToyRuntime(cells=15 * 24, parallel=16, batch_tokens=64, apart=True, fills=True)
    async with batching(full) as batcher:
        await together(batcher, [client(4, 21, n) for n in range(15)])
        assert batcher.counts.preemptions == 0  # the runtime checks that there was room for each


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    limits = Limits(64, 512, parallel=16, batch_tokens=64, threads=1, batch_threads=1)
    runtime = Runtime(resolve("demo:qwen", Path()), limits, 0)
    yield runtime
    runtime.close()


def test_a_real_model_keeps_nothing_of_them(runtime: Runtime) -> None:
    prompts = [
        runtime.vocabulary.tokens(f"What is {n}?", add_special=False, parse_special=False)
        for n in range(15)
    ]
    for slot, prompt in enumerate(prompts):
        assert runtime.decode([Piece(slot, 0, prompt, 0)]) is not None
    # So often that, if but one cell stayed each time, there would be no room any more.
    best: list[list[int]] = []
    for turn in range(400):
        pieces = [Piece(slot, len(prompt), [9], 1) for slot, prompt in enumerate(prompts)]
        logits = runtime.decode(pieces, added=turn % 2)
        assert logits is not None, "there is room for these rows"
        assert logits.shape == (15, runtime.vocabulary.size)
        best.append([int(row.argmax()) for row in logits])
        for slot, prompt in enumerate(prompts):
            runtime.cut(slot, len(prompt))
    assert best[0] == best[1]
    assert best == best[:2] * 200


async def test_a_real_model_says_the_same_with_and_without_them(runtime: Runtime) -> None:
    prompts = [
        tuple(runtime.vocabulary.tokens(f"Tell me of {n}", add_special=False, parse_special=False))
        for n in range(15)
    ]
    heard: list[list[Listener]] = []
    for fills in (False, True):
        runtime.fills = fills
        async with batching(runtime) as batcher:
            heard.append([Listener(prompt, 30) for prompt in prompts])
            for one in heard[-1]:
                batcher.submit(one.sequence)
            for one in heard[-1]:
                assert (await one.end()).error is None
    same = [check_same(one, other) for one, other in zip(*heard, strict=True)]
    assert sum(same) > 0.9 * sum(one.count for one in heard[0])
