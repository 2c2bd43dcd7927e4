"""The texts that wait to be evaluated for a vector or a score.

Owns: which of them a batch holds, how the pieces of a long text come together.
Must not: know threads: what is evaluated, and when, is the batcher's.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import DecodeFailed, Floats
from engines.llamacpp.complaints import LoadFailed
from engines.llamacpp.pooled import Pooled


@dataclass(slots=True, eq=False)
class Text:
    """A text to evaluate; whoever asked and has gone has cancelled its `outcome`."""

    tokens: Sequence[int]
    outcome: Future[Floats] = field(default_factory=Future)
    done: int = 0
    _numbers: Floats | None = None

    @property
    def pending(self) -> int:
        """Tokens that are not evaluated yet."""
        return len(self.tokens) - self.done

    def take(self, numbers: Floats, count: int, pooling: str) -> None:
        """Add what the next `count` tokens gave; the last of them settle the outcome."""
        if self._numbers is None:
            self._numbers = numbers
        elif pooling == "mean":
            weight = np.float32(count / (self.done + count))
            self._numbers = self._numbers + (numbers - self._numbers) * weight
        elif pooling != "cls":  # of which the first token decides
            self._numbers = numbers
        self.done += count
        if self.pending:
            return
        if not np.isfinite(self._numbers).all():
            self.fail("the result is not a number")
        elif self.outcome.set_running_or_notify_cancel():
            self.outcome.set_result(self._numbers)

    def fail(self, why: str) -> None:
        """Settle the outcome with an error."""
        if self.outcome.set_running_or_notify_cancel():
            self.outcome.set_exception(DecodeFailed(why))


class Texts:
    """The line; who waits longest is evaluated first.

    `add` may be called from anywhere, `step` and `end` by one thread.
    """

    def __init__(self, pooled: Pooled) -> None:
        self._pooled = pooled
        self._waiting: deque[Text] = deque()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def add(self, texts: Sequence[Text]) -> None:
        """Put texts at the end of the line."""
        self._waiting.extend(texts)

    def step(self) -> int:
        """Evaluate one batch; return how many tokens it had.

        A batch that llama.cpp refuses ends its texts with `DecodeFailed`.
        """
        batch = self._next()
        if not batch:
            return 0
        try:
            counts = self._evaluate(batch)
        except (DecodeFailed, LoadFailed) as error:
            _fail(batch, str(error))
            return 0
        except BaseException as error:
            _fail(batch, str(error))
            raise
        if batch[0].pending:
            self._waiting.appendleft(batch[0])
        return sum(counts)

    def end(self, why: str) -> None:
        """End all that wait with an error."""
        while self._waiting:
            self._waiting.popleft().fail(why)

    def _next(self) -> list[Text]:
        """Take texts out of the line that fit a batch together; one that is longer comes alone."""
        batch: list[Text] = []
        room = self._pooled.batch_tokens
        while self._waiting and len(batch) < self._pooled.most_texts:
            text = self._waiting[0]
            if batch and (batch[0].done or text.pending > room):
                break
            self._waiting.popleft()
            if not text.outcome.cancelled():
                batch.append(text)
                room -= text.pending
        return batch

    def _evaluate(self, batch: Sequence[Text]) -> list[int]:
        """Evaluate the batch; return how many tokens of each text."""
        if not batch[0].done:
            self._pooled.forget()
        counts = [min(text.pending, self._pooled.most_tokens) for text in batch]
        pieces = [
            Piece(slot, text.done, text.tokens[text.done : text.done + count], wanted=True)
            for slot, (text, count) in enumerate(zip(batch, counts, strict=True))
        ]
        told = self._pooled.evaluate(pieces)
        for text, numbers, count in zip(batch, told, counts, strict=True):
            text.take(numbers, count, self._pooled.pooling)
        return counts


def _fail(texts: Sequence[Text], why: str) -> None:
    for text in texts:
        text.fail(why)
