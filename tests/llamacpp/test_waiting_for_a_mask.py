"""A sequence whose grammar takes its time may leave meanwhile, and holds up nobody for longer."""

import asyncio
import threading
from typing import Any

import numpy as np

from engines.llamacpp.grammar.constraint import Compiled, Constraint, Floats
from engines.llamacpp.orders import Order, Progress
from engines.llamacpp.sequence import SequenceState
from tests.support.batching import GREEDY, WAIT_S, Client, batching, client, drained
from tests.support.toy_runtime import ToyRuntime, answer


class SlowMask:
    """A grammar that allows everything, and tells what may come next when a test lets it."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.told = threading.Event()

    def unsafe_compute_mask_ptr(self, _pointer: int, _length: int) -> None:
        self.asked.set()
        assert self.told.wait(WAIT_S)

    def is_error(self) -> bool:
        return False

    def consume_token(self, _token: int) -> bool:
        return True

    def is_stopped(self) -> bool:
        return False


class AllowsAll(Compiled):
    """Starts on one `SlowMask`."""

    def __init__(self, mask: Any, size: int) -> None:
        super().__init__(mask, size, "grammar")
        self._mask: Any = mask

    def start(self) -> Constraint:
        return _Open(self._mask, self._size)


class _Open(Constraint):
    """Its mask leaves the bits as they are from the beginning, whichever thread is the quicker."""

    def __init__(self, mask: Any, size: int) -> None:
        super().__init__(mask, size)
        self._bits[:] = -1

    def apply(self, logits: Floats) -> None:
        super().apply(logits)
        assert np.isfinite(logits).any()


async def test_cancelled_while_its_mask_is_computed_it_is_gone_after_that_step() -> None:
    runtime, mask = ToyRuntime(), SlowMask()
    said: list[Progress] = []
    grammar = AllowsAll(mask, runtime.vocabulary.size)
    gone = SequenceState(Order((1, 2), 1_000, GREEDY, grammar=grammar), said.append)
    async with batching(runtime) as batcher:
        batcher.submit(gone)
        assert await asyncio.to_thread(mask.asked.wait, WAIT_S)
        other = client(3, 4, 1)
        batcher.submit(other.sequence)
        batcher.cancel(gone)
        mask.told.set()
        assert (await other.end()).text == answer(other.prompt, 4)
        await drained(batcher)
    assert gone.generated <= 1
    assert [progress.error for progress in said if progress.ends] == ["cancelled"]
    assert runtime.cache == {}


async def test_masks_are_computed_while_the_batch_is_evaluated() -> None:
    runtime, mask = ToyRuntime(), SlowMask()
    evaluating: list[bool] = []

    def evaluate() -> None:
        evaluating.append(mask.asked.wait(WAIT_S))
        mask.asked.clear()

    runtime.before = evaluate
    mask.told.set()
    held = Client((1, 2), 5)
    grammar = AllowsAll(mask, runtime.vocabulary.size)
    held.sequence = SequenceState(Order((1, 2), 5, GREEDY, grammar=grammar), held.hear)
    async with batching(runtime) as batcher:
        batcher.submit(held.sequence)
        assert (await held.end()).text == answer((1, 2), 5)
    assert evaluating == [True] * 5


async def test_an_end_while_a_mask_is_computed_ends_the_answer_with_an_error() -> None:
    runtime, mask = ToyRuntime(), SlowMask()
    ended = asyncio.Event()
    grammar = AllowsAll(mask, runtime.vocabulary.size)

    def hear(progress: Progress) -> None:
        if progress.error:
            ended.set()

    waiting = SequenceState(Order((1, 2), 1_000, GREEDY, grammar=grammar), hear)
    async with batching(runtime) as batcher:
        batcher.submit(waiting)
        assert await asyncio.to_thread(mask.asked.wait, WAIT_S)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        mask.told.set()
        async with asyncio.timeout(WAIT_S):
            await closing
            await ended.wait()
