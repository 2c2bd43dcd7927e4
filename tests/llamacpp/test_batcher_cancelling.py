"""Who goes away, before, while or after the thread that owns the context serves them."""

from tests.support.batching import arrive, batching, client, drained, together
from tests.support.toy_runtime import Gate, ToyRuntime, answer


async def test_cancelled_in_the_queue_it_is_never_evaluated() -> None:
    runtime = ToyRuntime(parallel=1)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        first, second = client(2, 3), client(3, 3, 1)
        batcher.submit(first.sequence)
        await arrive(gate)
        batcher.submit(second.sequence)
        batcher.cancel(second.sequence)
        gate.open_for_good()
        await first.end()
        await drained(batcher)
        assert second.text == ""
        assert batcher.counts.prompt_tokens == 3
        assert batcher.counts.waiting == 0


async def test_cancelled_before_it_was_seen_it_is_never_evaluated() -> None:
    runtime = ToyRuntime()
    async with batching(runtime) as batcher:
        gone = client(3, 3)
        batcher.cancel(gone.sequence)
        batcher.submit(gone.sequence)
        await drained(batcher)
        assert batcher.counts.prompt_tokens == 1


async def test_cancelled_in_its_prompt_its_cells_are_free_within_a_step() -> None:
    runtime = ToyRuntime(batch_tokens=4)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        gone = client(100, 3)
        batcher.submit(gone.sequence)
        for _ in range(3):
            await arrive(gate)
            gate.opened.release()
        await arrive(gate)
        batcher.cancel(gone.sequence)
        gate.open_for_good()
        await drained(batcher)
        assert gone.text == ""
        assert len(runtime.steps) == 5  # four of its own at most, and the other's one
        assert runtime.cache == {}


async def test_cancelled_while_it_speaks_its_slot_is_the_next_ones() -> None:
    runtime = ToyRuntime(parallel=1)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        gone, heir = client(2, 100), client(4, 6, 1)
        batcher.submit(gone.sequence)
        batcher.submit(heir.sequence)
        await arrive(gate)
        gate.opened.release()
        await gone.first()
        await arrive(gate)
        batcher.cancel(gone.sequence)
        gate.open_for_good()
        assert (await heir.end()).text == answer(heir.prompt, 6)
        assert gone.reason is None
    assert runtime.cache == {}


async def test_cancelled_when_it_has_just_ended_it_frees_nothing_twice() -> None:
    runtime = ToyRuntime(parallel=2)
    async with batching(runtime) as batcher:
        for turn in range(10):
            one = client(3, 2, turn)
            batcher.submit(one.sequence)
            await one.end()
            batcher.cancel(one.sequence)
            batcher.cancel(one.sequence)
        await together(batcher, [client(4, 5, n) for n in range(4)])
    assert all(row.slot < 2 for rows in runtime.steps for row in rows)
