"""Texts that become vectors, between the steps of the thread that owns the context."""

import asyncio

import pytest

from engines.llamacpp.binding import DecodeFailed
from engines.llamacpp.complaints import LoadFailed
from tests.support.batching import arrive, batching, client, drained, together
from tests.support.toy_runtime import Gate, ToyRuntime, answer


async def test_running_sequences_wait_for_one_batch_of_texts_at_most() -> None:
    runtime = ToyRuntime(batch_tokens=8)
    seen: list[int] = []
    runtime.pooled.before = lambda: seen.append(len(runtime.steps))
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        speaking = client(2, 30)
        batcher.submit(speaking.sequence)
        await arrive(gate)
        task = asyncio.create_task(batcher.pool([[n] * n for n in (5, 6, 20)]))
        await asyncio.sleep(0)
        gate.open_for_good()
        assert [float(numbers[0]) for numbers in await task] == [5, 6, 20]
        assert (await speaking.end()).text == answer(speaking.prompt, 30)
    assert seen == [1, 2, 3, 4, 5]


async def test_a_cancelled_embedding_is_not_evaluated_and_a_failed_one_says_why() -> None:
    runtime = ToyRuntime()
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        speaking = client(2, 3)
        batcher.submit(speaking.sequence)
        await arrive(gate)
        gone = asyncio.create_task(batcher.pool([[1, 2]]))
        bad = asyncio.create_task(batcher.pool([[]]))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        gate.open_for_good()
        with pytest.raises(DecodeFailed, match="nothing to embed"):
            await bad
        assert gone.cancelled()
        await batcher.pool([[1]])
        assert runtime.pooled.batches == [[()], [(1,)]]


@pytest.mark.parametrize("on_gpu", [False, True])
async def test_texts_leave_others_their_cores_as_prompts_do(*, on_gpu: bool) -> None:
    """But threads that wait for a GPU are no sign that somebody wants the cores."""
    runtime = ToyRuntime(threads=8)
    runtime.on_gpu = on_gpu
    async with batching(runtime) as batcher:
        runtime.pooled.step_s, runtime.pooled.used_s = 0.6, 0.6 * 5  # three of eight had no core
        await batcher.pool([[1]])
        await drained(batcher)
        assert batcher.counts.threads == runtime.batch_threads == (8 if on_gpu else 5)


async def test_no_memory_for_embeddings_is_told_and_the_thread_goes_on() -> None:
    runtime = ToyRuntime()

    def no_memory() -> None:
        raise LoadFailed("llama.cpp cannot make a context")

    runtime.pooled.before = no_memory
    async with batching(runtime) as batcher:
        with pytest.raises(DecodeFailed, match="cannot make a context"):
            await batcher.pool([[1]])
        await together(batcher, [client(3, 4)])
