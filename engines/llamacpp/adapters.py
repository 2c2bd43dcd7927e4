"""LoRA adapters: what is asked for, loaded beside a model, and put on a context.

Owns: llama.cpp's adapters. Must not: decide which one a step has.
"""

import ctypes
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp as native

from engines.llamacpp.complaints import LoadFailed, complaints, first_reason


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: the model name that it answers to, its file, how strongly it counts."""

    name: str
    path: Path
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """An adapter in llama.cpp's memory, which the model frees with itself."""

    pointer: Any
    scale: float


def read_adapter(text: str) -> Adapter:
    """Read `NAME=PATH` or `NAME=PATH:SCALE`.

    Raises:
        ValueError: a part is missing, or the scale is no finite number.
    """
    name, _, where = text.partition("=")
    path, _, scale = where.rpartition(":")
    try:
        adapter = Adapter(name, Path(path), float(scale)) if path else Adapter(name, Path(where))
    except ValueError:  # what stands behind the last colon is the path's
        adapter = Adapter(name, Path(where))
    if not name or not where:
        raise ValueError("write NAME=PATH or NAME=PATH:SCALE")
    if not math.isfinite(adapter.scale):
        raise ValueError(f"the scale of '{name}' must be a finite number")
    return adapter


def load_adapter(model: Any, adapter: Adapter) -> LoadedAdapter:
    """Load an adapter for a model.

    Raises:
        LoadFailed: the file is none, was made for another model, or wants what is not done here.
    """
    with complaints() as heard:
        pointer = native.llama_adapter_lora_init(model, str(adapter.path).encode())
    if not pointer:
        said = first_reason(heard, "lora adapter: ")
        raise LoadFailed(f"llama.cpp cannot load the adapter '{adapter.name}': {said}")
    if native.llama_adapter_get_alora_n_invocation_tokens(pointer):
        raise LoadFailed(
            f"the adapter '{adapter.name}' is an activated LoRA, which begins in the middle of a "
            "prompt; this worker puts adapters on whole sequences"
        )
    return LoadedAdapter(pointer, adapter.scale)


def put_on(context: Any, adapter: LoadedAdapter | None) -> None:
    """Let a context evaluate with this adapter alone, or with none; costs where it changes."""
    if adapter is None:
        native.llama_set_adapters_lora(context, None, 0, None)
        return
    pointers = (native.llama_adapter_lora_p_ctypes * 1)(adapter.pointer)
    scales = (ctypes.c_float * 1)(adapter.scale)
    native.llama_set_adapters_lora(context, pointers, 1, scales)
