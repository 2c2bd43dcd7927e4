"""The thread that owns the context: admits sequences, steps, delivers.

Owns: continuous batching. Each step evaluates one token of every running sequence and chunks of
waiting prompts; of those with several adapters, of the one whose turn it is.
Between two steps a batch of texts is evaluated that wait for a vector or a score.
Must not: decide shares (`scheduler`), what the cache holds (`cells`) or which texts go together
(`texts`), or draw (`sequence`).

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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import perf_counter, process_time

import numpy as np

from engines.llamacpp.batches import Piece, View
from engines.llamacpp.binding import DecodeFailed, Floats, Runtime
from engines.llamacpp.cells import Cells, Start
from engines.llamacpp.counts import Counts
from engines.llamacpp.experience import Experience
from engines.llamacpp.pooled import Pooled
from engines.llamacpp.scheduler import Turn, Waiting, next_turn, share_step, who_catches_up
from engines.llamacpp.sequence import Progress, SequenceState
from engines.llamacpp.texts import Text, Texts

_log = logging.getLogger("weighbridge.worker")

# A mask takes far less than a step; the second thread is for grammars that are hard.
_MASK_THREADS = 2
# Who has nothing to do waits at most so many times what the prompts that have come are worth.
_GATHERING = 5


class Batcher:
    """Runs until `close`; `submit`, `cancel` and `pool` may be called from the event loop.

    `failed` is set when the thread met an error that it does not know: the state of the context is
    then unknown as well, and the process must end.
    """

    def __init__(self, runtime: Runtime, pooled: Pooled, loop: asyncio.AbstractEventLoop) -> None:
        self.pooled = pooled
        self._runtime = runtime
        self._loop = loop
        self._wake = threading.Condition()
        self._arrived: deque[SequenceState] = deque()
        self._texts = Texts(pooled)
        self._queue: deque[SequenceState] = deque()
        self._running: list[SequenceState] = []  # from the oldest to the youngest
        # No more than a step has tokens: decoding sequences would leave prompts none.
        self._most_running = min(runtime.limits.parallel, runtime.limits.batch_tokens)
        self._cells = Cells(runtime)
        self._turn = Turn()
        self._caught_up = False  # in the step before: only once do those who begin wait
        self._crowded = False  # the cache refused a step: nobody comes in until one succeeds
        self._masks = ThreadPoolExecutor(_MASK_THREADS, thread_name_prefix="mask")
        self._closing = False
        self._ended: str | None = None  # why, once the thread takes nothing more
        self.counts = Counts(threads=runtime.limits.threads)
        self._experience = Experience(runtime, self.counts)
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
            while self._collect():
                self._read_texts()
                self._step()
            self._end("this engine is ending")
        except Exception:  # noqa: BLE001 - the root of this thread
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
        self._masks.shutdown(wait=False, cancel_futures=True)
        self._tell([(s.deliver, Progress(error=why)) for s in held])
        self._texts.end(why)

    def _collect(self) -> bool:
        """Take in what has arrived; sleep while there is nothing to do. False ends the thread."""
        with self._wake:
            self._drop_cancelled()
            while not (self._closing or self._arrived or self._texts or self._busy()):
                self._count()
                self._wake.wait()
                self._drop_cancelled()
            if not self._busy():
                self._gather()
            began = perf_counter()
            self._queue.extend(self._arrived)
            self._arrived.clear()
            self._drop_cancelled()
            self._admit()
            self._count()
            self.counts.seconds.build += perf_counter() - began
            return not self._closing

    def _gather(self) -> None:
        """Let those who come at the same time begin together: apart they would end apart as well.

        Waits while one comes after the other, for a small part of the time that reading all of them
        takes.
        """
        began_s = perf_counter()
        while not self._closing:
            patience_s = self._experience.pace.patience_s(sum(s.pending for s in self._arrived))
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
            self._leave(sequence, keep=True)
        self._queue = deque(s for s in self._queue if not s.cancelled)
        self._tell([(s.deliver, Progress(error="cancelled")) for s in gone])

    def _admit(self) -> None:
        """Give free slots to the first in line, as long as their tokens fit the cache.

        Who waits for another's prompt to be read keeps the place, so that nobody overtakes.
        """
        if self._crowded and self._running:
            return
        held = self._cells.used + sum(s.pending for s in self._running)
        for sequence in tuple(self._queue)[: self._most_running - len(self._running)]:
            order = sequence.order
            start = self._cells.look(sequence.known, order.adapter, order.layout)
            held += start.cells
            if self._running and held > self._runtime.limits.cells:
                return
            if not start.waits:
                self._queue.remove(sequence)
                self._place(sequence, start)

    def _place(self, sequence: SequenceState, start: Start) -> None:
        adapter, layout = sequence.order.adapter, sequence.order.layout
        sequence.slot, sequence.done = self._cells.admit(sequence.known, adapter, start, layout)
        if sequence.cached is None:
            sequence.cached = sequence.read = sequence.done
            self.counts.cached_tokens += sequence.done
        self._running.append(sequence)

    def _leave(self, sequence: SequenceState, *, keep: bool) -> None:
        """Take a sequence's slot; what it has in the cache may stay for others."""
        self._running.remove(sequence)
        read = np.array(sequence.tokens[: sequence.done], dtype=np.int32) if keep else None
        self._cells.leave(sequence.slot, read, sequence.order.adapter)
        sequence.slot = -1
        sequence.done = 0

    def _read_texts(self) -> None:
        """Evaluate one batch of texts, so that running sequences wait for no more than that."""
        tokens = self._texts.step()
        self.counts.prompt_tokens += tokens
        self.counts.text_batches += tokens > 0

    def _step(self) -> None:
        if not self._running:
            return
        began, most = perf_counter(), self._runtime.limits.batch_tokens
        self._turn = next_turn(self._turn, {s.order.adapter for s in self._running}, most)
        waiting = [
            Waiting(sequence.slot, sequence.readable, sequence.generated == 1)
            for sequence in self._running
            if sequence.order.adapter == self._turn.adapter and sequence.readable
        ]
        first = who_catches_up(waiting) if self._runtime.apart and not self._caught_up else []
        self._caught_up = bool(first)
        waiting = first or waiting
        reading = [one.pending for one in waiting if one.pending > 1]
        prompt_tokens = self._experience.pace.prompt_tokens(
            len(waiting) - len(reading), reading, most
        )
        shares = share_step(waiting, most, prompt_tokens)
        viewing = self._who_looks(most)
        if self._make_room(sum(shares.values()) + (viewing[1].count if viewing else 0)):
            return  # somebody left: the shares are others now
        if self._runtime.limits.drafts and self._runtime.cuts:
            self._guess()
        self._turn = self._turn.after(sum(shares.values()))
        self.counts.seconds.build += perf_counter() - began
        for part in self._parts(shares):
            if not self._evaluate(part):
                return
        if viewing:
            self._look(*viewing)

    def _who_looks(self, most: int) -> tuple[SequenceState, View] | None:
        """Return who evaluates a picture in this step: one, so that others wait for no more."""
        for sequence in self._running:
            view = sequence.view(most)
            if view is not None:
                return sequence, view
        return None

    def _look(self, sequence: SequenceState, view: View) -> None:
        """Evaluate tokens of a picture; what comes behind them is text in a later step."""
        began = perf_counter()
        try:
            fits = self._runtime.look(view, sequence.order.adapter)
        except DecodeFailed as error:
            self._fail(str(error))
            return
        if not fits:
            self._refused()
            return
        self._crowded = False
        self.counts.steps += 1
        self.counts.step_tokens.add(view.count)
        self.counts.seconds.decode += perf_counter() - began
        self._read(sequence, view.count)

    def _read(self, sequence: SequenceState, taken: int) -> None:
        """Note that so many tokens of a sequence are in the cache; put back, it reads them anew."""
        sequence.done += taken
        read = max(sequence.read, min(sequence.done, len(sequence.order.prompt)))
        self.counts.prompt_tokens += read - sequence.read
        sequence.read = read
        self._cells.grow(sequence.slot, taken)

    def _parts(self, shares: dict[int, int]) -> list[list[tuple[SequenceState, int]]]:
        """Return who takes part in a step, with how many tokens: in one batch, or in two.

        Where a step's time is what it reckons, and not the weights that it reads, those who decode
        go first, alone: beside pieces of prompts each would cost twice as much, and wait for them.
        """
        taking = [(s, shares[s.slot]) for s in self._running if s.slot in shares]
        if not self._runtime.apart:
            return [taking] if taking else []
        parts = (
            [one for one in taking if (one[0].pending == 1) is first] for first in (True, False)
        )
        return [part for part in parts if part]

    def _evaluate(self, part: list[tuple[SequenceState, int]]) -> bool:
        """Evaluate these tokens of these sequences, and draw; say whether the step goes on."""
        began = perf_counter()
        pieces, drawing = self._pieces(part)
        for sequence in drawing:
            sequence.foresee(self._masks)
        added = self._experience.added(pieces, self._runtime.limits.cells - self._cells.used)
        built, used = perf_counter(), process_time()
        try:
            logits = self._runtime.decode(pieces, self._turn.adapter, added)
        except DecodeFailed as error:
            self._fail(str(error))
            return False
        if logits is None:
            self._refused()
            return False
        self._crowded = False
        counts, decoded = self.counts, perf_counter()
        tokens = sum(len(piece.tokens) for piece in pieces)
        counts.steps += 1
        counts.step_tokens.add(tokens)
        counts.seconds.build += built - began
        counts.seconds.decode += decoded - built
        decoding = sum(sequence.pending == 1 for sequence, _ in part)
        self._experience.after(decoding, tokens, added, decoded - built, process_time() - used)
        for sequence, taken in part:
            self._read(sequence, taken)
        self._draw(drawing, logits, decoded)
        return True

    def _guess(self) -> None:
        """Let a sequence that is alone guess ahead; beside others, they would pay for it."""
        limits = self._runtime.limits
        room = min(limits.batch_tokens, limits.cells - self._cells.used) - 1
        for sequence in self._running:
            sequence.guess(room if len(self._running) == 1 else 0)

    def _make_room(self, wanted: int) -> bool:
        """Let who must leave the cache; say whether one had to."""
        running = {s.slot: s for s in self._running}
        leaving = self._cells.who_leaves(tuple(running), wanted)
        # The youngest first, so that the oldest of them is the first in line again.
        for slot in leaving:
            self._preempt(running[slot])
        return bool(leaving)

    def _refused(self) -> None:
        """Make room where the cache has less than was counted."""
        if len(self._running) > 1:
            self._crowded = True
            self._preempt(self._running[-1])
        else:
            self._fail("the KV cache has no room for this sequence")

    def _preempt(self, sequence: SequenceState) -> None:
        self.counts.preemptions += 1
        self._leave(sequence, keep=True)
        sequence.known = np.array(sequence.tokens, dtype=np.int32)
        self._queue.appendleft(sequence)

    def _pieces(
        self, part: list[tuple[SequenceState, int]]
    ) -> tuple[list[Piece], list[SequenceState]]:
        """Return what is evaluated, and whose next tokens can be drawn from it, in order."""
        pieces: list[Piece] = []
        drawing: list[SequenceState] = []
        for sequence, share in part:
            complete = share == sequence.pending
            tokens = sequence.next_tokens(share)
            wanted = 1 + len(sequence.draft) if complete else 0
            pieces.append(Piece(sequence.slot, sequence.position, tokens, wanted))
            if complete:
                drawing.append(sequence)
        return pieces, drawing

    def _draw(self, drawing: list[SequenceState], logits: Floats, decoded_s: float) -> None:
        told: list[tuple[Callable[[Progress], None], Progress]] = []
        line = 0
        for sequence in drawing:
            first, drafted = sequence.generated == 0, len(sequence.draft)
            said = sequence.draw(logits[line : line + 1 + drafted], self._runtime.vocabulary)
            line += 1 + drafted
            if drafted:
                self._settle(sequence, drafted, len(said) - 1)
            if first and sequence.cached:
                said[0] = replace(said[0], cached=sequence.cached)
            self.counts.completion_tokens += sum(progress.tokens for progress in said)
            told += ((sequence.deliver, progress) for progress in said)
            if said[-1].ends:
                self._leave(sequence, keep=said[-1].error is None)
        self._time(drawing, decoded_s)  # before anybody is told: then it stands in a scrape too
        self._tell(told)

    def _settle(self, sequence: SequenceState, drafted: int, right: int) -> None:
        """Keep the cells of the right part of a draft, and drop the others.

        Its tokens came with the one behind them: clients did not wait for them.
        """
        if right < drafted:
            self._runtime.cut(sequence.slot, sequence.position)
        self._cells.grow(sequence.slot, right)
        self.counts.drafted_tokens += drafted
        self.counts.accepted_tokens += right
        for _ in range(right):
            self.counts.itl_s.add(0)

    def _time(self, drawn: list[SequenceState], decoded_s: float) -> None:
        """Note how long clients waited for these tokens, and what drawing them took."""
        now, counts = perf_counter(), self.counts
        for sequence in drawn:
            waits = counts.itl_s if sequence.generated > 1 else counts.ttft_s
            waits.add(now - sequence.heard_s)
            sequence.heard_s = now
        masked = sum(sequence.masked_s for sequence in drawn)
        counts.seconds.mask += masked
        counts.seconds.sample += now - decoded_s - masked

    def _fail(self, why: str) -> None:
        """End every running sequence with an error: nobody knows which one was at fault.

        Nor which cells still hold what they should: none is kept.
        """
        told = [(s.deliver, Progress(error=why)) for s in self._running]
        for sequence in tuple(self._running):
            self._leave(sequence, keep=False)
        self._tell(told)

    def _tell(self, told: list[tuple[Callable[[Progress], None], Progress]]) -> None:
        if told and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_deliver, told)

    def _count(self) -> None:
        counts, limits = self.counts, self._runtime.limits
        counts.running = len(self._running)
        counts.waiting = len(self._queue) + len(self._arrived)
        counts.kv_used_ratio = self._cells.used / limits.cells
        counts.prefix_cache_bytes = self._cells.parked_bytes


def _deliver(told: list[tuple[Callable[[Progress], None], Progress]]) -> None:
    for deliver, progress in told:
        deliver(progress)
