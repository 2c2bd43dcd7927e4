"""llama.cpp ends the whole process where one of its assertions fails: one line says which.

Owns: the library's one callback for that, and the exit code while something loads.
Must not: let anything go on: after a failed assertion the library is in no known state.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from llama_cpp import llama_cpp as native

_HOPELESS = 2
_Callback: Any = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


@contextmanager
def hopeless_aborts(weights: str) -> Iterator[None]:
    """End the process with 2 where llama.cpp gives up meanwhile: these weights never load.

    At other times it ends by SIGABRT, as whoever looks after it expects of a crash.
    """
    keep = _Callback(partial(_end_loading, weights))
    native._lib.ggml_set_abort_callback(keep)
    try:
        yield
    finally:
        native._lib.ggml_set_abort_callback(_ON_ABORT)


def _end_loading(weights: str, message: bytes) -> None:
    _tell(f"llama.cpp cannot load {weights}: {_without_folder(message)}")
    os._exit(_HOPELESS)


def _tell_failure(message: bytes) -> None:
    _tell(f"llama.cpp gave up: {_without_folder(message)}")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _without_folder(message: bytes) -> str:
    """Return `/src/x.cpp:57: GGML_ASSERT(a) failed` with the place at its end and no folder."""
    place, _, why = message.decode("utf-8", "replace").partition(": ")
    return f"{why} ({place.rpartition('/')[2]})"


# Not a loader's own: the library calls it to its last use.
_ON_ABORT = _Callback(_tell_failure)
