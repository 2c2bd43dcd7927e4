"""A pooling context without llama.cpp: it checks what it is given, and its numbers are reckoned.

A text's mean is that of its token ids, its cls the first of them, its last the last.
"""

from collections.abc import Callable, Sequence

import numpy as np

from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import DecodeFailed, Floats
from engines.llamacpp.pooled import Pooled


class ToyPooled(Pooled):
    """`before` is called in the batcher's thread before each batch, and may raise.

    `batches` has the tokens of each batch, text by text.
    """

    def __init__(self, pooling: str = "mean", *, batch_tokens: int = 16, whole: int = 0) -> None:
        self.pooling = pooling
        self.width = 1
        self.batch_tokens = batch_tokens
        self.most_tokens = max(batch_tokens, whole)
        self.most_texts = 4
        self.batches: list[list[tuple[int, ...]]] = []
        self.before: Callable[[], None] = lambda: None
        self._seen: dict[int, int] = {}

    def evaluate(self, pieces: Sequence[Piece]) -> list[Floats]:
        self.before()
        self.batches.append([tuple(piece.tokens) for piece in pieces])
        assert sum(len(piece.tokens) for piece in pieces) <= self.most_tokens
        assert len({piece.slot for piece in pieces}) == len(pieces) <= self.most_texts
        for piece in pieces:
            assert piece.position == self._seen.get(piece.slot, 0), "positions follow each other"
            self._seen[piece.slot] = piece.position + len(piece.tokens)
            if not piece.tokens:
                raise DecodeFailed("nothing to embed")
        return [self._numbers(piece.tokens) for piece in pieces]

    def forget(self) -> None:
        self._seen.clear()

    def _numbers(self, tokens: Sequence[int]) -> Floats:
        number = {"mean": np.mean(tokens), "cls": tokens[0], "last": tokens[-1]}[self.pooling]
        return np.array([number], dtype=np.float32)
