"""The sequences of one request on their way to the batcher.

Owns: making them, and which of them wait for what another one of them reads.
Must not: evaluate, or know what is asked.
"""

import asyncio
from collections.abc import Callable, Sequence

from engines.llamacpp.batcher import Batcher
from engines.llamacpp.orders import Order, Progress
from engines.llamacpp.sequence import SequenceState

# Sequences with so many tokens in all are made in less time than a step takes.
_FEW_TOKENS = 32 * 1024


async def begun(
    orders: Sequence[Order], listener: Callable[[int], Callable[[Progress], None]]
) -> list[SequenceState]:
    """Return the sequences of these orders; long ones are made while the event loop goes on."""

    def make() -> list[SequenceState]:
        return [SequenceState(order, listener(index)) for index, order in enumerate(orders)]

    tokens = sum(len(order.prompt) for order in orders)
    return make() if tokens <= _FEW_TOKENS else await asyncio.to_thread(make)


class Choices:
    """All sequences of a request. Used from the event loop.

    What is told of a prompt comes from logits of all its tokens, of which none may come from the
    cache: its first choice reads it for all, and the others are submitted when it has.
    """

    def __init__(self, batcher: Batcher, sequences: Sequence[SequenceState]) -> None:
        self.sequences = sequences
        self._batcher = batcher
        self._behind: dict[int, list[SequenceState]] = {}  # by the first choice of their prompt
        first = 0
        for index, sequence in enumerate(sequences):
            if sequence.order.choice == 0:
                first = index
            elif sequence.order.tells_prompt:
                self._behind.setdefault(first, []).append(sequence)

    def submit(self) -> None:
        """Submit all that wait for no other one."""
        behind = self._waiting()
        for sequence in self.sequences:
            if sequence not in behind:
                self._batcher.submit(sequence)

    def heard(self, index: int, progress: Progress) -> None:
        """Submit who has waited for what a sequence tells of its prompt now."""
        if progress.prompt is None:
            return
        for sequence in self._behind.pop(index, ()):
            sequence.prompt_told = list(progress.prompt)
            self._batcher.submit(sequence)

    def cancel(self) -> None:
        """End all that have not ended; each is told so."""
        behind = self._waiting()
        for sequence in self.sequences:
            if sequence in behind:
                sequence.deliver(Progress(error="cancelled"))
            else:
                self._batcher.cancel(sequence)

    def _waiting(self) -> list[SequenceState]:
        return [sequence for behind in self._behind.values() for sequence in behind]
