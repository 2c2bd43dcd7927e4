"""A grammar is read by a child first: llguidance has schemas on which it works for minutes.

`{"multipleOf": 1234567}` is one. A thread that reads it cannot be ended, a process can.

Owns: the child, and what is said to it and by it.
Must not: know grammars.
"""

import subprocess
import sys
import threading
from collections.abc import Sequence

import msgspec

from engines.llamacpp.grammar.draft import Draft, Flaw

# Seconds of the child's processor: several times what the largest schemas of honest clients take.
_MOST_CPU_S = 2.0
# Of the clock, on the most crowded machine; a child that says nothing then is stopped.
_MOST_S = 60.0


class Words(msgspec.Struct, frozen=True):
    """What the child must know: how many tokens there are, marks, ends; and its limit."""

    size: int
    marks: dict[str, int]
    ends: list[int]
    most_cpu_s: float = _MOST_CPU_S


class Asked(msgspec.Struct, frozen=True):
    """A question: can these be held together?"""

    drafts: list[Draft]


class Told(msgspec.Struct, frozen=True):
    """The child's answer; no flaw: they can be held."""

    flaw: Flaw | None


class Trial:
    """The child; started when first needed, and again after each that did not come back.

    One thread at a time may ask.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._child: subprocess.Popen[bytes] | None = None

    def flaw(self, drafts: Sequence[Draft]) -> Flaw | None:
        """Return what is wrong with drafts, or that reading them takes too much."""
        child = self._living() or self._start()
        overdue = threading.Timer(_MOST_S, child.kill)
        overdue.start()
        try:
            line = _answer(child, msgspec.json.encode(Asked(list(drafts))))
        finally:
            overdue.cancel()
        if not line:
            self.close()
            return Flaw("reading it takes too much time or memory")
        return msgspec.json.decode(line, type=Told).flaw

    def stop(self) -> None:
        """Make the child end now; any thread may, and one that waits for it waits no longer."""
        child = self._child
        if child is not None:
            child.kill()

    def close(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def _living(self) -> subprocess.Popen[bytes] | None:
        if self._child is not None and self._child.poll() is not None:
            self.close()
        return self._child

    def _start(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-P", "-m", "engines.llamacpp.grammar"]
        self._child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        _send(self._child, msgspec.json.encode(self._words))
        return self._child


def _answer(child: subprocess.Popen[bytes], question: bytes) -> bytes:
    """Return the child's line; b"" when it has ended instead."""
    assert child.stdout is not None  # noqa: S101 - it was started with a pipe
    try:
        _send(child, question)
        return child.stdout.readline()
    except BrokenPipeError:
        return b""


def _send(child: subprocess.Popen[bytes], line: bytes) -> None:
    assert child.stdin is not None  # noqa: S101 - it was started with a pipe
    child.stdin.write(line + b"\n")
    child.stdin.flush()
