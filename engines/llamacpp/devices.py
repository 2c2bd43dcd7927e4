"""Where this build of llama.cpp can compute.

Owns: asking llama.cpp for its devices; what becomes of layers that no device can take.
Must not: choose how many layers go there; load anything.
"""

import ctypes
import logging
from dataclasses import dataclass
from typing import Any

import llama_cpp as native
from llama_cpp import _ggml

_log = logging.getLogger("weighbridge.worker")


@dataclass(frozen=True, slots=True)
class Devices:
    """What llama.cpp has: `names` as it has them, and whether one of them `takes_layers`.

    `gpu_layers` are put there: 0 is none, -1 all.
    """

    names: tuple[str, ...]
    takes_layers: bool
    gpu_layers: int


def devices_for(wanted_layers: int) -> Devices:
    """Return the devices, with as many of the wanted layers as there is a place for.

    Where there is none the layers stay on the CPU, and one line of the log says so.
    """
    native.llama_backend_init()  # which finds them
    names, takes_layers = _names(_ggml.libggml), bool(native.llama_supports_gpu_offload())
    if wanted_layers and not takes_layers:
        _log.warning(
            "gpu_layers is %d, but this build of llama-cpp-python has no GPU (it has %s): all "
            "layers stay on the CPU; rebuild it, as with CMAKE_ARGS=-DGGML_CUDA=on, or "
            "leave gpu_layers out",
            wanted_layers,
            ", ".join(names),
        )
        wanted_layers = 0
    return Devices(names, takes_layers, wanted_layers)


def _names(ggml: Any) -> tuple[str, ...]:
    count, get, name = (
        getattr(ggml, f"ggml_backend_dev_{what}") for what in ("count", "get", "name")
    )
    count.restype, get.restype, name.restype = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p
    get.argtypes, name.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    return tuple(name(get(at)).decode("utf-8", "replace") for at in range(count()))
