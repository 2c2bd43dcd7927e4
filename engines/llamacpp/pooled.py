"""The context in which texts are evaluated for one vector or score each.

Owns: that context and its sequences.
Must not: decide which texts go together (`texts`); every method is called from one thread.
"""

from collections.abc import Sequence
from time import perf_counter, process_time
from typing import Any

import llama_cpp as native
import numpy as np

from engines.llamacpp.batches import Batch, Piece
from engines.llamacpp.binding import DecodeFailed, Floats, Runtime
from engines.llamacpp.complaints import LoadFailed

POOLINGS = {
    "mean": native.LLAMA_POOLING_TYPE_MEAN,
    "cls": native.LLAMA_POOLING_TYPE_CLS,
    "last": native.LLAMA_POOLING_TYPE_LAST,
    "rank": native.LLAMA_POOLING_TYPE_RANK,
}
# Short texts fill a batch of the usual size long before there are as many as this.
_MOST_TEXTS = 64
# Of these architectures' scores llama.cpp makes chances, which come to 1: one alone says nothing.
_CHANCES = ("qwen3", "qwen3vl")


class Pooled:
    """A model's second context: pooling is a property of a context, and generation wants none.

    It is made when it is first needed. `pooling` is one of `POOLINGS`; `in_pieces` says whether a
    text may be evaluated bit by bit, which needs tokens that see only those before them. Several
    texts have at most `batch_tokens` together, and one alone `most_tokens`: all of it where it
    must be whole. The last batch took `step_s`, in which the process used `used_s` of all cores.

    Raises:
        LoadFailed: the model's head gives numbers of which none is a rank.
    """

    step_s = used_s = 0.0

    def __init__(self, runtime: Runtime, pooling: str, *, in_pieces: bool) -> None:
        limits = runtime.limits
        self.pooling = pooling
        self.width = _width(runtime, pooling)
        self.batch_tokens = limits.batch_tokens
        self.most_tokens = max(limits.batch_tokens, 0 if in_pieces else limits.context)
        self.most_texts = min(_MOST_TEXTS, limits.batch_tokens)
        self._runtime = runtime
        self._context: Any = None
        self._threads = 0
        self._batch = Batch(0)

    def prepare(self) -> None:
        """Make the context, if it is not there yet.

        Raises:
            LoadFailed: there is no memory for it.
        """
        if self._context is not None:
            return
        # llama.cpp lays out a step that texts share evenly; where it must enlarge it for that, and
        # pools by the mean, it ends the process.
        tokens = -(-self.most_tokens // self.most_texts) * self.most_texts
        cells = max(self._runtime.limits.context, tokens)
        params = self._runtime.context_params(cells, tokens, self.most_texts)
        params.embeddings = True
        params.pooling_type = POOLINGS[self.pooling]
        self._context = self._runtime.new_context(params)
        self._batch = Batch(self.most_tokens)

    def evaluate(self, pieces: Sequence[Piece]) -> list[Floats]:
        """Return the pooled numbers of each piece [width]; each is of a sequence of its own.

        Raises:
            DecodeFailed: llama.cpp refused the batch.
            LoadFailed: the context cannot be made.
        """
        self.prepare()
        if self._threads != self._runtime.batch_threads:
            self._threads = self._runtime.batch_threads
            native.llama_set_n_threads(self._context, self._threads, self._threads)
        batch = self._batch.fill(pieces, all_wanted=True)
        began, used = perf_counter(), process_time()
        result: int = native.llama_decode(self._context, batch)
        self.step_s, self.used_s = perf_counter() - began, process_time() - used
        if result != 0:
            raise DecodeFailed(f"llama_decode returned {result}")
        return [self._read(piece.slot) for piece in pieces]

    def forget(self) -> None:
        """Drop everything that was read: the next pieces are beginnings."""
        memory = native.llama_get_memory(self._context) if self._context else None
        if memory:  # encoders have none
            native.llama_memory_clear(memory, False)

    def close(self) -> None:
        """Free the context; the model stays."""
        if self._context:
            native.llama_free(self._context)
            self._context = None

    def _read(self, slot: int) -> Floats:
        pointer = native.llama_get_embeddings_seq(self._context, slot)
        return np.array(np.ctypeslib.as_array(pointer, shape=(self.width,)), dtype=np.float32)


def _width(runtime: Runtime, pooling: str) -> int:
    if pooling != "rank":
        width: int = native.llama_model_n_embd_out(runtime.model)
        return width
    scores: int = native.llama_model_n_cls_out(runtime.model)
    if (scores > 1) != (runtime.meta("general.architecture") in _CHANCES):
        raise LoadFailed(
            f"llama.cpp makes no rank of this model's head, which gives {scores} numbers for a "
            "text; choose another --pooling, or other weights"
        )
    return scores
