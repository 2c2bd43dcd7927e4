"""How large llama.cpp would make its buffers for a file, which it is asked without loading it."""

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp as native

from engines.llamacpp.binding import KV_TYPES
from engines.llamacpp.complaints import ON_LOG

_MIB = 1 << 20
_SIZE = r"size\s*=\s*([\d.]+) MiB"
_CACHES = re.compile(rf"(?:kv_cache|memory_recurrent): {_SIZE}")
_STEP = re.compile(rf"compute buffer {_SIZE}")


@dataclass(frozen=True)
class LaidOut:
    """Bytes of what tokens leave, and of a step's results; llama.cpp tells hundredths of a MiB."""

    caches: float
    step: float


@contextmanager
def _heard() -> Iterator[list[str]]:
    lines: list[str] = []

    def keep(_level: int, text: bytes, _user: Any) -> None:
        lines.append(text.decode("utf-8", "replace"))

    callback = native.llama_log_callback(keep)
    native.llama_log_set(callback, ctypes.c_void_p(0))
    try:
        yield lines
    finally:
        native.llama_log_set(ON_LOG, ctypes.c_void_p(0))


def laid_out(
    path: Path, *, cells: int, sequences: int, tokens: int = 512, kv_type: str = "f16"
) -> LaidOut:
    """Let llama.cpp lay out a model and a context without taking any memory for them."""
    native.llama_backend_init()
    with _heard() as lines:
        loading = native.llama_model_default_params()
        loading.no_alloc = True
        loading.load_mode = 0
        model = native.llama_model_load_from_file(str(path).encode(), loading)
        assert model, "".join(lines)[-400:]
        params = native.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = params.n_ubatch = tokens
        params.n_seq_max = params.n_outputs_max = sequences
        params.kv_unified = True
        params.swa_full = False
        params.type_k = params.type_v = KV_TYPES[kv_type]
        context = native.llama_init_from_model(model, params)
        assert context, "".join(lines)[-400:]
        native.llama_free(context)
        native.llama_model_free(model)
    said = "".join(lines)
    steps = [float(size) for size in _STEP.findall(said)]
    caches = sum(float(size) for size in _CACHES.findall(said))
    return LaidOut(caches * _MIB, steps[-1] * _MIB)
