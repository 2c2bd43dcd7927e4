"""What llama.cpp says is wrong: passed on to standard error, or gathered while something loads.

Owns: the one callback for the log of its libraries. Must not: decide what follows from it.
"""

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llama_cpp as native

_ERROR = 4


class LoadFailed(Exception):
    """llama.cpp cannot load weights or an adapter, or make a context of this size."""


class _Listener:
    """Hears all that is said, in any thread; passes it on where nobody gathers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gathering: tuple[list[str], ...] = ()

    def hear(self, level: int, text: bytes, _user: Any) -> None:
        """Take a line of the log: errors; all else is noise."""
        if level != _ERROR:
            return
        said, gathering = text.decode("utf-8", "replace"), self._gathering
        for heard in gathering:
            heard.append(said)
        if not gathering:
            sys.stderr.write(said)

    @contextmanager
    def gathering(self) -> Iterator[list[str]]:
        """Let what is said meanwhile be gathered."""
        heard: list[str] = []
        with self._lock:
            self._gathering = (*self._gathering, heard)
        try:
            yield heard
        finally:
            with self._lock:
                self._gathering = tuple(one for one in self._gathering if one is not heard)


# Not a runtime's own, and never another: each library has one callback for the whole process, which
# its threads may be in at any time, to its last use.
_LISTENER = _Listener()
ON_LOG = native.llama_log_callback(_LISTENER.hear)


@contextmanager
def complaints(*also: Callable[[Any, Any], None]) -> Iterator[list[str]]:
    """Gather what is said meanwhile: of the several lines of a failure one is told.

    `also` set the callbacks of libraries beside llama.cpp's own.
    """
    for listen in (native.llama_log_set, *also):
        listen(ON_LOG, ctypes.c_void_p(0))
    with _LISTENER.gathering() as heard:
        yield heard


def first_reason(heard: Sequence[str], behind: str) -> str:
    """Return what the first complaint says `behind` these words."""
    said = "".join(heard[:1]).rpartition(behind)[2].strip()
    return said or "it says no more"
