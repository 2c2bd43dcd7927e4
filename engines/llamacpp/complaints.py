"""What llama.cpp says is wrong: passed on to standard error, or gathered while something loads.

Owns: each library's one callback for its log. Must not: decide what follows from it.
"""

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import llama_cpp as native

_ERROR = 4


class LoadFailed(Exception):
    """llama.cpp cannot load weights or an adapter, or make a context of this size."""


@contextmanager
def complaints(*also: Callable[[Any, Any], None]) -> Iterator[list[str]]:
    """Gather what is said meanwhile: of the several lines of a failure one is told.

    `also` set the callbacks of libraries beside llama.cpp's own.
    """
    heard: list[str] = []
    keep = native.llama_log_callback(partial(_keep, heard))
    listeners = (native.llama_log_set, *also)
    for listen in listeners:
        listen(keep, ctypes.c_void_p(0))
    try:
        yield heard
    finally:
        for listen in listeners:
            listen(ON_LOG, ctypes.c_void_p(0))


def first_reason(heard: Sequence[str], behind: str) -> str:
    """Return what the first complaint says `behind` these words."""
    said = "".join(heard[:1]).rpartition(behind)[2].strip()
    return said or "it says no more"


def _keep(heard: list[str], level: int, text: bytes, _user: Any) -> None:
    if level == _ERROR:
        heard.append(text.decode("utf-8", "replace"))


def _pass_on(level: int, text: bytes, _user: Any) -> None:
    """Pass on errors; all else is noise."""
    if level == _ERROR:
        sys.stderr.write(text.decode("utf-8", "replace"))


# Not a runtime's own: the library has one callback for all, and calls it to its last use.
ON_LOG = native.llama_log_callback(_pass_on)
