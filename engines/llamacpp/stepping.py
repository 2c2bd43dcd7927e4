"""The sequences that run: they are admitted, take steps, are drawn from, and leave.

Each step evaluates a token of every sequence that decodes and chunks of prompts, of one adapter
where there are several; then some of a picture, where one is next.

Owns: who runs, one step of them, who has to go back into the line.
Must not: decide shares (`scheduler`) or what the cache holds (`cells`), or draw (`sequence`).
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, process_time
from typing import TypeAlias

import numpy as np

from engines.llamacpp.batches import Piece, View
from engines.llamacpp.binding import DecodeFailed, Floats, Runtime
from engines.llamacpp.cells import Cells, Start
from engines.llamacpp.counts import Counts
from engines.llamacpp.experience import Experience
from engines.llamacpp.orders import Progress
from engines.llamacpp.pace import together
from engines.llamacpp.scheduler import Turn, Waiting, next_turn, share_step, who_catches_up
from engines.llamacpp.sequence import SequenceState

# Whom something is told, and what.
Told: TypeAlias = list[tuple[Callable[[Progress], None], Progress]]

# A mask takes far less than a step; the second thread is for grammars that are hard.
_MASK_THREADS = 2


class Stepper:
    """The running sequences of one context; `queue` are those that wait, `tell` passes on words.

    Mutable; belongs to the batcher's thread.
    """

    def __init__(
        self,
        runtime: Runtime,
        counts: Counts,
        queue: deque[SequenceState],
        tell: Callable[[Told], None],
    ) -> None:
        self.running: list[SequenceState] = []  # from the oldest to the youngest
        self.cells = Cells(runtime)
        self.counts = counts
        self.experience = Experience(runtime, counts)
        self._runtime = runtime
        self._queue = queue
        self._tell = tell
        # No more than a step has tokens: decoding sequences would leave prompts none.
        self._most_running = min(runtime.limits.parallel, runtime.limits.batch_tokens)
        self._turn = Turn()
        self._caught_up = False  # in the step before: only once do those who begin wait
        self._crowded = False  # the cache refused a step: nobody comes in until one succeeds
        self._masks = ThreadPoolExecutor(_MASK_THREADS, thread_name_prefix="mask")

    def close(self) -> None:
        """End what computes masks, before anybody frees the vocabulary that it reads."""
        self._masks.shutdown(cancel_futures=True)

    def admit(self) -> None:
        """Give free slots to the first in line, as long as their tokens fit the cache.

        Who waits for another's prompt to be read keeps the place, so that nobody overtakes.
        """
        if self._crowded and self.running:
            return
        held = self.cells.used + sum(s.pending for s in self.running)
        for sequence in tuple(self._queue)[: self._most_running - len(self.running)]:
            start = self._outlook(sequence)
            held += start.cells
            if self.running and held > self._runtime.limits.cells:
                return
            if not start.waits:  # in one of the two at any time: so it is told if this fails
                self._place(sequence, start)
                self._queue.remove(sequence)

    def _outlook(self, sequence: SequenceState) -> Start:
        if sequence.untold:
            return self.cells.afresh(sequence.known)
        order = sequence.order
        return self.cells.look(sequence.known, order.adapter, order.layout)

    def _place(self, sequence: SequenceState, start: Start) -> None:
        adapter, layout = sequence.order.adapter, sequence.order.layout
        sequence.slot, sequence.done = self.cells.admit(sequence.known, adapter, start, layout)
        if sequence.cached is None:
            sequence.cached = sequence.read = sequence.done
            self.counts.cached_tokens += sequence.done
        self.running.append(sequence)

    def leave(self, sequence: SequenceState, *, keep: bool) -> None:
        """Take a sequence's slot; what it has in the cache may stay for others."""
        read = np.array(sequence.tokens[: sequence.done], dtype=np.int32) if keep else None
        self.cells.leave(sequence.slot, read, sequence.order.adapter)
        self.running.remove(sequence)
        sequence.slot = -1
        sequence.done = 0

    def step(self) -> None:
        """Take a step; somebody runs."""
        began, most = perf_counter(), self._runtime.limits.batch_tokens
        self._turn = next_turn(self._turn, {s.order.adapter for s in self.running}, most)
        on_turn = [s for s in self.running if s.order.adapter == self._turn.adapter]
        untold = next((s for s in on_turn if s.untold), None)  # one after the other
        waiting = [
            Waiting(sequence.slot, sequence.readable, sequence.generated == 1)
            for sequence in on_turn
            if sequence.readable and (sequence is untold or not sequence.untold)
        ]
        first = who_catches_up(waiting) if self._runtime.apart and not self._caught_up else []
        self._caught_up, waiting = bool(first), first or waiting
        reading = [one.pending for one in waiting if one.pending > 1]
        decoding = len(waiting) - len(reading)
        pace = self.experience.pace
        held = pace.prompts_wait(decoding, reading)
        prompt_tokens = 0 if held else pace.prompt_tokens(decoding, reading, most)
        shares = share_step(waiting, most, prompt_tokens)
        if untold and untold.slot in shares:  # of the others each has logits of one token at most
            room = self._runtime.outputs - (len(self.running) - 1)
            shares[untold.slot] = min(shares[untold.slot], room)
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

    def _parts(self, shares: dict[int, int]) -> list[list[tuple[SequenceState, int]]]:
        """Return who takes part in a step, with how many tokens: in one batch, or in two.

        Where a step's time is what it reckons, and not the weights that it reads, those who decode
        go first, alone: beside large pieces of prompts each would cost twice as much.
        """
        taking = [(s, shares[s.slot]) for s in self.running if s.slot in shares]
        decoding = [one for one in taking if one[0].pending == 1]
        reading = [one for one in taking if one[0].pending != 1]
        if not self._runtime.apart or together(len(decoding), sum(share for _, share in reading)):
            return [taking] if taking else []
        return [part for part in (decoding, reading) if part]

    def _who_looks(self, most: int) -> tuple[SequenceState, View] | None:
        """Return who evaluates a picture in this step: one, so that others wait for no more."""
        for sequence in self.running:
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
        self.cells.grow(sequence.slot, taken)

    def _evaluate(self, part: list[tuple[SequenceState, int]]) -> bool:
        """Evaluate these tokens of these sequences, and draw; say whether the step goes on."""
        began = perf_counter()
        pieces = [
            Piece(s.slot, s.position, s.next_tokens(share), s.wanted(share)) for s, share in part
        ]
        drawing = [sequence for sequence, share in part if share == sequence.pending]
        for sequence in drawing:
            sequence.foresee(self._masks)
        added = self.experience.added(pieces, self._runtime.limits.cells - self.cells.used)
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
        self.experience.after(decoding, tokens, added, decoded - built, process_time() - used)
        rows: list[Floats] = []
        line = 0
        for (sequence, taken), piece in zip(part, pieces, strict=True):
            self._read(sequence, taken)
            behind = sequence.tell_prompt(logits[line : line + piece.wanted])
            rows += [behind] if len(behind) else []
            line += piece.wanted
        self._draw(drawing, rows, decoded)
        return True

    def _guess(self) -> None:
        """Let a sequence that is alone guess ahead; beside others, they would pay for it."""
        limits = self._runtime.limits
        room = min(limits.batch_tokens, limits.cells - self.cells.used) - 1
        for sequence in self.running:
            sequence.guess(room if len(self.running) == 1 else 0, limits.context)

    def _make_room(self, wanted: int) -> bool:
        """Let who must leave the cache; say whether one had to."""
        running = {s.slot: s for s in self.running}
        leaving = self.cells.who_leaves(tuple(running), wanted)
        # The youngest first, so that the oldest of them is the first in line again.
        for slot in leaving:
            self._preempt(running[slot])
        return bool(leaving)

    def _refused(self) -> None:
        """Make room where the cache has less than was counted."""
        if len(self.running) > 1:
            self._crowded = True
            self._preempt(self.running[-1])
        else:
            self._fail("the KV cache has no room for this sequence")

    def _preempt(self, sequence: SequenceState) -> None:
        self.counts.preemptions += 1
        self._requeue(sequence, keep=True)

    def _requeue(self, sequence: SequenceState, *, keep: bool) -> None:
        self.leave(sequence, keep=keep)
        sequence.known = np.array(sequence.tokens, dtype=np.int32)
        self._queue.appendleft(sequence)

    def _draw(self, drawing: list[SequenceState], rows: list[Floats], decoded_s: float) -> None:
        told: Told = []
        for sequence, logits in zip(drawing, rows, strict=True):
            drafted = len(sequence.draft)
            said = sequence.draw(logits, self._runtime.vocabulary)
            if drafted:
                self._settle(sequence, drafted, len(said) - 1)
            self.counts.completion_tokens += sum(progress.tokens for progress in said)
            told += ((sequence.deliver, progress) for progress in said)
            if said[-1].ends:
                self.leave(sequence, keep=said[-1].error is None)
            elif sequence.outgrows(self._runtime.limits.context):
                self._requeue(sequence, keep=False)
                sequence.shift(self._runtime.limits.context)
        self._time(drawing, decoded_s)  # before anybody is told: then it stands in a scrape too
        self._tell(told)

    def _settle(self, sequence: SequenceState, drafted: int, right: int) -> None:
        """Keep the cells of the right part of a draft, and drop the others.

        Its tokens came with the one behind them: clients did not wait for them.
        """
        if right < drafted:
            self._runtime.cut(sequence.slot, sequence.position)
        self.cells.grow(sequence.slot, right)
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
        told = [(s.deliver, Progress(error=why)) for s in self.running]
        for sequence in tuple(self.running):
            self.leave(sequence, keep=False)
        self._tell(told)
