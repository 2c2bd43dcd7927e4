"""The thread that owns the context: admits sequences, steps, delivers.

Owns: continuous batching: the line of those who wait, and one step after the other (`stepping`).
Between two steps a batch of texts is evaluated that wait for a vector or a score.
Must not: know what a step is, or which texts go together (`texts`).

| a sequence is | left by |
|---|---|
| queued | a free slot, and nobody reads the same prompt just now -> running; cancelled -> gone |
| running | its end or cancelled -> gone; no room in the cache -> queued again, first in line |

When the thread ends, closed or failed, all of them end with an error, and so does what comes later.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from time import perf_counter

from engines.llamacpp.binding import DecodeFailed, Floats, Runtime
from engines.llamacpp.counts import Counts
from engines.llamacpp.orders import Progress
from engines.llamacpp.pooled import Pooled
from engines.llamacpp.sequence import SequenceState
from engines.llamacpp.shelf import Shelf
from engines.llamacpp.stepping import Stepper, Told
from engines.llamacpp.texts import Text, Texts

_log = logging.getLogger("weighbridge.worker")

# Who has nothing to do waits at most so many times what the prompts that have come are worth.
_GATHERING = 5


class Batcher:
    """Runs until `close`; `submit`, `cancel` and `pool` may be called from the event loop.

    What sequences leave is taken from the `shelf` at the beginning and put there at a clean end.
    `failed` is set when the thread met an error that it does not know: the state of the context is
    then unknown as well, and the process must end.
    """

    def __init__(
        self,
        runtime: Runtime,
        pooled: Pooled,
        loop: asyncio.AbstractEventLoop,
        shelf: Shelf | None = None,
    ) -> None:
        self.pooled = pooled
        self._runtime = runtime
        self._loop = loop
        self._wake = threading.Condition()
        self._arrived: deque[SequenceState] = deque()
        self._texts = Texts(pooled)
        self._queue: deque[SequenceState] = deque()
        self._shelf = shelf if runtime.parks else None
        self._closing = False
        self._ended: str | None = None  # why, once the thread takes nothing more
        self.counts = Counts(threads=runtime.limits.threads)
        self._stepper = Stepper(runtime, self.counts, self._queue, self._tell)
        self._running = self._stepper.running
        self._cells = self._stepper.cells
        self.failed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, sequence: SequenceState) -> None:
        """Queue a sequence; its `deliver` is called on the event loop for each step."""
        sequence.heard_s = perf_counter()
        with self._wake:
            if self._ended is not None:
                self._tell([(sequence.deliver, Progress(error=self._ended))])
                return
            self._arrived.append(sequence)
            self._wake.notify()

    def cancel(self, sequence: SequenceState) -> None:
        """Drop a sequence, in whatever state it is; its slot is free within one step.

        That is told like any end, unless it has ended before.
        """
        with self._wake:
            sequence.cancelled = True
            self._wake.notify()

    async def pool(self, prompts: Sequence[Sequence[int]]) -> list[Floats]:
        """Return the pooled numbers of each text, evaluated in batches between steps.

        Cancelling it takes the texts out of the line.

        Raises:
            DecodeFailed: llama.cpp refused a text, or the thread has ended.
        """
        texts = [Text(prompt) for prompt in prompts]
        with self._wake:
            if self._ended is not None:
                raise DecodeFailed(self._ended)
            self._texts.add(texts)
            self._wake.notify()
        try:
            return [await asyncio.wrap_future(text.outcome) for text in texts]
        finally:
            for text in texts:
                text.outcome.cancel()

    def close(self) -> None:
        """End the thread; what still runs ends with an error."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            if self._shelf is not None:
                for leaving in self._shelf.load():
                    self._cells.parked.keep(leaving)
            while self._collect():
                self._read_texts()
                if self._running:
                    self._stepper.step()
            self._end("this engine is ending")
            if self._shelf is not None:
                self._shelf.store(self._cells.parked)
        except BaseException:  # noqa: BLE001 - the root of this thread; a panic in Rust is no Exception
            _log.exception("the batcher's thread failed")
            self._end("the engine failed and must start again")
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self.failed.set)

    def _end(self, why: str) -> None:
        """Take nothing more; nobody may wait for ever for what this thread will not do."""
        with self._wake:
            self._ended = why
            held = [*self._running, *self._queue, *self._arrived]
            for waiting in (self._running, self._queue, self._arrived):
                waiting.clear()
            self._count()
        self._tell([(s.deliver, Progress(error=why)) for s in held])
        self._texts.end(why)
        self._stepper.close()

    def _collect(self) -> bool:
        """Take in what has arrived; sleep while there is nothing to do. False ends the thread."""
        self._drop_cancelled()
        with self._wake:
            while not (self._closing or self._arrived or self._texts or self._busy()):
                self._count()
                self._wake.wait()
            if not self._busy():
                self._gather()
            began = perf_counter()
            self._queue.extend(self._arrived)
            self._arrived.clear()
        # The event loop never waits for these: what leaves or comes back may be gigabytes.
        self._drop_cancelled()
        self._stepper.admit()
        self._count()
        self.counts.seconds.build += perf_counter() - began
        return not self._closing

    def _gather(self) -> None:
        """Let those who come at the same time begin together: apart they would end apart as well.

        Waits while one comes after the other, for a small part of the time that reading all of them
        takes.
        """
        began_s, pace = perf_counter(), self._stepper.experience.pace
        full = self._runtime.limits.batch_tokens
        while not self._closing:
            patience_s = pace.patience_s(sum(s.pending for s in self._arrived), full)
            late = perf_counter() - began_s >= _GATHERING * patience_s
            if late or not self._wake.wait(patience_s):
                return

    def _busy(self) -> bool:
        return bool(self._running or self._queue)

    def _drop_cancelled(self) -> None:
        gone = [s for s in (*self._running, *self._queue) if s.cancelled]
        if not gone:
            return
        for sequence in [s for s in self._running if s.cancelled]:
            self._stepper.leave(sequence, keep=True)
        left = [s for s in self._queue if not s.cancelled]
        self._queue.clear()
        self._queue.extend(left)
        self._tell([(s.deliver, Progress(error="cancelled")) for s in gone])

    def _read_texts(self) -> None:
        """Evaluate one batch of texts, so that running sequences wait for no more than that."""
        tokens = self._texts.step()
        self.counts.prompt_tokens += tokens
        if tokens:
            self.counts.text_batches += 1
            self._stepper.experience.after_texts(self.pooled.step_s, self.pooled.used_s)

    def _tell(self, told: Told) -> None:
        if told and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_deliver, told)

    def _count(self) -> None:
        counts, limits = self.counts, self._runtime.limits
        counts.running = len(self._running)
        counts.waiting = len(self._queue) + len(self._arrived)
        counts.kv_used_ratio = self._cells.used / limits.cells
        counts.prefix_cache_bytes = self._cells.parked_bytes


def _deliver(told: Told) -> None:
    for deliver, progress in told:
        deliver(progress)
