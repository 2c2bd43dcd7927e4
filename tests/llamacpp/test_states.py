"""Models that have a state instead of cells, or beside them: batched, kept, and put back."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import Floats, Limits, Runtime
from tests.support.batching import Client, batching
from tools.families.stateful_toys import STATEFUL_TOYS, write_stateful_toy
from tools.families.toys import Toy

_LIMITS = Limits(128, 200, 4, 32, threads=1, batch_threads=1)


@pytest.fixture(params=STATEFUL_TOYS, ids=lambda toy: toy.name)
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    toy: Toy = request.param
    runtime = Runtime(write_stateful_toy(toy, tmp_path / "toy.gguf"), _LIMITS, 0)
    yield runtime
    runtime.close()


def text(salt: int, length: int = 40) -> tuple[int, ...]:
    return tuple((7 * at + 31 * salt) % 200 + 5 for at in range(length))


def read(runtime: Runtime, slots: tuple[int, ...], start: int = 0, end: int = 40) -> list[Floats]:
    """Evaluate a stretch of the text of each slot, a few tokens of all at once."""
    found: Floats | None = None
    for at in range(start, end, 8):
        found = runtime.decode([Piece(s, at, text(s)[at : min(at + 8, end)], 1) for s in slots])
        assert found is not None, "there was no room"
    assert found is not None
    return [np.array(row) for row in found]


def alike(one: Floats, other: Floats) -> bool:
    return float(np.abs(one - other).max()) < 1e-3 * float(np.abs(other).max())


def test_several_at_once_are_read_as_each_is_alone(runtime: Runtime) -> None:
    together = read(runtime, (0, 1, 2))
    for slot in range(3):
        runtime.forget(slot)
    for slot in (2, 0, 1):
        (alone,) = read(runtime, (slot,))
        assert alike(together[slot], alone)


def test_what_was_left_goes_on_in_any_slot_as_if_it_had_stayed(runtime: Runtime) -> None:
    assert not runtime.cuts
    read(runtime, (1, 2), end=32)
    state = runtime.leaving(1)
    runtime.forget(1)
    read(runtime, (0, 3), end=16)  # others are read meanwhile
    (expected,) = read(runtime, (2,), 32)
    assert runtime.arrive(1, state, 32)
    (found,) = read(runtime, (1,), 32)
    runtime.forget(1)
    (alone,) = read(runtime, (1,))
    assert alike(found, alone)
    runtime.forget(2)
    assert alike(expected, read(runtime, (2,))[0])


async def test_more_than_fit_are_put_back_and_go_on(runtime: Runtime) -> None:
    async with batching(runtime) as batcher:
        clients = [Client(text(salt), 60) for salt in range(6)]
        for one in clients:
            batcher.submit(one.sequence)
        for one in clients:
            await one.end()
            assert (one.reason, one.error) in (("length", None), ("stop", None))
        assert batcher.counts.preemptions > 0
        assert batcher._cells.used == 0


async def test_a_prompt_goes_on_from_all_of_an_earlier_text(runtime: Runtime) -> None:
    async with batching(runtime) as batcher:
        first = Client(text(1), 8)
        batcher.submit(first.sequence)
        await first.end()
        again = Client((*first.sequence.tokens, 9, 11), 8)
        batcher.submit(again.sequence)
        await again.end()
        assert again.cached == len(first.sequence.tokens) - 1
        batcher.submit((cut := Client((*text(1)[:20], 9, 11), 8)).sequence)
        await cut.end()
        assert cut.cached == 0
