"""llama.cpp through ctypes; so do `batches`, `vocabulary`, `adapters`, `pooled`, `sight`.

Owns: model and contexts.
Must not: decide what is decoded next; every method is called from one thread.
"""

import ctypes
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp as native
import numpy as np
import numpy.typing as npt

from engines.llamacpp.adapters import Adapter, load_adapter, put_on
from engines.llamacpp.batches import Batch, Piece, View, rows_of
from engines.llamacpp.complaints import LoadFailed, complaints, first_reason
from engines.llamacpp.drafts import LONGEST_DRAFT
from engines.llamacpp.filling import MOST_ADDED
from engines.llamacpp.vocabulary import Vocabulary, meta_of
from engines.memory.gguf_need import LEAST_ROWS

Floats = npt.NDArray[np.float32]
State = npt.NDArray[np.uint8]

_log = logging.getLogger("weighbridge.worker")

_NO_ROOM = 1
MOST_SEQUENCES = 256  # of a context; llama.cpp's headers do not reach Python
# How a cell is stored; the others save memory and cost time and a little precision.
KV_TYPES = {
    "f16": native.GGML_TYPE_F16,
    "q8_0": native.GGML_TYPE_Q8_0,
    "q4_0": native.GGML_TYPE_Q4_0,
}


class DecodeFailed(Exception):
    """llama.cpp could not evaluate a batch."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of a context: tokens a sequence, KV cells in all, sequences, tokens a step, threads.

    `drafts`: a sequence may guess what comes next, and have it evaluated in one step.
    `parked_bytes`: memory for what ended sequences leave, outside the cells.
    `shifts`: an answer may outgrow its context, and the middle of its text gives way.
    `yields`: steps take fewer threads while other processes want the cores.
    """

    context: int
    cells: int
    parallel: int
    batch_tokens: int
    threads: int
    batch_threads: int
    drafts: bool = False
    shifts: bool = False
    yields: bool = True
    parked_bytes: int = 512 << 20


class Runtime:
    """A loaded model with the context that its sequences share, where it `generates`.

    `shares` says whether sequences may have cells in common, `cuts` whether one can lose its last
    cells, `parks` whether what it leaves is kept for later. `apart`: those who decode are evaluated
    in a batch of their own; `fills`: rows that stand for nobody may be beside them
    (docs/decisions/0026). `on_gpu`: layers are on a GPU. Logits are wanted of at most so many
    tokens of a step: `outputs`.

    Raises:
        LoadFailed: weights or adapters cannot be loaded, or there is no memory for the context.
    """

    def __init__(
        self,
        weights: Path,
        limits: Limits,
        gpu_layers: int,
        *,
        prefix_cache: bool = True,
        kv_type: str = "f16",
        adapters: Sequence[Adapter] = (),
        generates: bool = True,
    ) -> None:
        native.llama_backend_init()
        self.model = _load(weights, gpu_layers)
        # Before the context, which is made large enough for them.
        self._adapters = [load_adapter(self.model, adapter) for adapter in adapters]
        self.limits = limits
        self.on_gpu = gpu_layers != 0
        self.apart = not self.on_gpu
        self._kv_type = kv_type
        self.vocabulary = Vocabulary(self.model)
        why = _cannot_share(self.model) if generates else "it generates nothing"
        if generates and prefix_cache and why is not None:
            _log.warning("a prompt is prefilled whole unless it continues an earlier one: %s", why)
        if generates and limits.drafts and why is not None:
            _log.warning("prompt_lookup is off for this model: %s", why)
        self.cuts = why is None
        self.shares = prefix_cache and why is None
        self.parks = prefix_cache and generates and limits.parked_bytes > 0
        self.fills = self.apart and self.cuts and limits.parallel < MOST_SEQUENCES
        # By default as many as a batch has tokens: llama.cpp aborts where sequences are more.
        drafted = 1 + LONGEST_DRAFT if limits.drafts else 0
        filled = limits.parallel + MOST_ADDED * self.fills
        self.outputs = max(filled, drafted, LEAST_ROWS)
        self._context = self._generating() if generates else None
        self._memory = native.llama_get_memory(self._context) if generates else None
        self._batch = Batch(limits.batch_tokens)
        self._given = 0  # threads; what the context was made with is no matter
        self.use_threads(limits.threads, limits.batch_threads)

    def meta(self, key: str) -> str | None:
        """Return a value of the GGUF header as text."""
        return meta_of(self.model, key)

    def decode(self, pieces: Sequence[Piece], adapter: int = 0, added: int = 0) -> Floats | None:
        """Evaluate a step; return the wanted logits in the order of pieces [wanted, vocabulary].

        They lie in llama.cpp's memory: theirs to change who asked, and gone with the next call.
        None: there was no room in the KV cache, and nothing has changed. `adapter` counts those
        that were loaded from 1; 0 is the model alone. So many `added` rows, whose cells must be
        free, are evaluated beside them and nothing of them stays.

        Raises:
            DecodeFailed: llama.cpp refused the batch.
        """
        if self._adapters:
            put_on(self._context, self._adapters[adapter - 1] if adapter else None)
        self._give_threads(reads=any(len(piece.tokens) > 1 for piece in pieces))
        nobody = self.limits.parallel
        beside = [Piece(nobody, 0, [0] * added, added)] if added else []
        result: int = native.llama_decode(self._context, self._batch.fill([*pieces, *beside]))
        if added:
            self.forget(nobody)
        if result == _NO_ROOM:
            return None
        if result != 0:
            raise DecodeFailed(f"llama_decode returned {result}")
        shape = (sum(piece.wanted for piece in pieces), self.vocabulary.size)
        if not shape[0]:
            return np.empty(shape, dtype=np.float32)
        return np.ctypeslib.as_array(native.llama_get_logits(self._context), shape=shape)

    def look(self, view: View, adapter: int = 0) -> bool:
        """Evaluate tokens of a picture; nothing is drawn from them.

        Returns whether there was room in the KV cache; otherwise nothing has changed.

        Raises:
            DecodeFailed: llama.cpp refused the batch.
        """
        if self._adapters:
            put_on(self._context, self._adapters[adapter - 1] if adapter else None)
        self._give_threads(reads=True)
        whole = view.picture.whole
        if whole:
            native.llama_set_causal_attn(self._context, False)
        try:
            result: int = native.llama_decode(self._context, rows_of(view))
        finally:
            if whole:
                native.llama_set_causal_attn(self._context, True)
        if result not in (0, _NO_ROOM):
            raise DecodeFailed(f"llama_decode returned {result} for a picture")
        return result == 0

    def use_threads(self, threads: int, batch_threads: int) -> None:
        """Decode with so many threads from now on, and read prompts and texts with so many."""
        self.threads = threads
        self.batch_threads = batch_threads

    def _give_threads(self, *, reads: bool) -> None:
        """Give the next step its threads; llama.cpp would take several that decode for a prompt."""
        threads = self.batch_threads if reads else self.threads
        if threads != self._given:
            native.llama_set_n_threads(self._context, threads, threads)
            self._given = threads

    def forget(self, slot: int) -> None:
        """Drop everything that the cache holds of a sequence; what others share with it stays."""
        native.llama_memory_seq_rm(self._memory, slot, -1, -1)

    def cut(self, slot: int, length: int) -> None:
        """Drop what the cache holds of a sequence beyond its first `length` tokens.

        Raises:
            DecodeFailed: this cache cannot be cut.
        """
        if not native.llama_memory_seq_rm(self._memory, slot, length, -1):
            raise DecodeFailed("llama.cpp cannot cut this cache")

    def share(self, donor: int, slot: int, length: int) -> None:
        """Let an empty sequence begin with the first `length` cells of another; none is copied."""
        native.llama_memory_seq_cp(self._memory, donor, slot, 0, length)

    def left_bytes(self, slot: int) -> int:
        """Return how much memory a copy of all that the cache holds of a sequence takes."""
        size: int = native.llama_state_seq_get_size(self._context, slot)
        return size

    def leaving(self, slot: int) -> State:
        """Return a copy of all that the cache holds of a sequence, for `arrive`."""
        size = self.left_bytes(slot)
        state = np.empty(size, dtype=np.uint8)
        written: int = native.llama_state_seq_get_data(self._context, _at(state), size, slot)
        return state[:written]

    def arrive(self, slot: int, state: State, length: int) -> bool:
        """Let an empty sequence begin as one did that has left, cut to its first `length` tokens.

        Returns whether it does; otherwise it is as empty as before.
        """
        if not native.llama_state_seq_set_data(self._context, _at(state), state.size, slot):
            self.forget(slot)
            return False
        if self.cuts:
            self.cut(slot, length)
        return True

    def context_params(self, cells: int, batch_tokens: int, sequences: int) -> Any:
        """Return how a context of this model is made; the caller may say more."""
        params = native.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = params.n_ubatch = batch_tokens
        params.n_seq_max = sequences
        params.n_threads = self.limits.threads
        params.n_threads_batch = self.limits.batch_threads
        params.kv_unified = True
        # Layers with a window keep that alone (docs/decisions/0044).
        params.swa_full = False
        params.type_k = params.type_v = KV_TYPES[self._kv_type]
        if self._kv_type != "f16":
            # llama.cpp reads quantised values in its flash attention alone.
            params.flash_attn_type = native.LLAMA_FLASH_ATTN_TYPE_ENABLED
        return params

    def new_context(self, params: Any) -> Any:
        """Return a context, which whoever asks frees before the model.

        Raises:
            LoadFailed: llama.cpp cannot make it.
        """
        with complaints() as heard:
            context = native.llama_init_from_model(self.model, params)
        if not context:
            quantised = f", and does --kv-type {self._kv_type} suit this model"
            raise LoadFailed(
                f"llama.cpp cannot make a context: {first_reason(heard, ': ')}; is there memory "
                f"for --context{quantised if self._kv_type != 'f16' else ''}?"
            )
        return context

    def close(self) -> None:
        """Free context and model."""
        if self._context:
            native.llama_free(self._context)
        native.llama_model_free(self.model)

    def _generating(self) -> Any:
        """Return the context that sequences share."""
        limits = self.limits
        sequences = limits.parallel + self.fills
        params = self.context_params(limits.cells, limits.batch_tokens, sequences)
        params.n_outputs_max = self.outputs
        return self.new_context(params)


def _cannot_share(model: Any) -> str | None:
    """Return why sequences of a model cannot have cells in common, None where they can."""
    if native.llama_model_is_recurrent(model) or native.llama_model_is_hybrid(model):
        return "its state is no list of cells"
    if native.llama_model_n_swa(model) > 0:
        return "its attention window slides, and what it has left behind is overwritten"
    return None


def _at(state: State) -> Any:
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _load(weights: Path, gpu_layers: int) -> Any:
    params = native.llama_model_default_params()
    params.n_gpu_layers = gpu_layers if gpu_layers >= 0 else 999
    with complaints() as heard:
        model = native.llama_model_load_from_file(str(weights).encode(), params)
    if not model:
        said = first_reason(heard, "error loading model: ")
        raise LoadFailed(f"llama.cpp cannot load {weights.name}: {said}")
    return model
