"""What observing tells, on disk: one JSON line for each request, without a word of its text.

Owns: the shape of a line, a bounded buffer, the file and its size.
Must not: decide what is observed; delay a request: a thread writes, and what it cannot keep up with
is dropped.
"""

import asyncio
import errno
import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from engines.protocol.unreadable import UNREADABLE

_MOST_WAITING = 10_000
_log = logging.getLogger("weighbridge.observe")


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a named model, who served it, and whom the rules would have asked.

    `would` and `rule` are None where nobody could have been asked. Times are in seconds; tokens are
    the engine's own count, or else an estimate. `first_token_s` is None without a stream.
    """

    at_s: float
    endpoint: str
    asked: str
    model: str
    would: str | None
    rule: str | None
    task: str
    language: str
    request_size: str
    difficulty: float
    prompt_tokens: int
    completion_tokens: int
    duration_s: float
    first_token_s: float | None


_LINE = msgspec.json.Decoder(Observed)


class Journal:
    """Appends to a file, which starts anew beyond `most_bytes`; the one before it is kept."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._failed = False
        self.dropped = 0

    def add(self, observed: Observed) -> None:
        """Have a line written soon."""
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(msgspec.json.encode(observed) + b"\n")
        self._news.set()

    async def run(self) -> None:
        """Write until cancelled; what waits then is still written."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                await asyncio.to_thread(self._write, self._taken())
        finally:
            self._write(self._taken())

    def _taken(self) -> bytes:
        lines, self._waiting = self._waiting, deque()
        return b"".join(lines)

    def _write(self, lines: bytes) -> None:
        if not lines:
            return
        try:
            if self._path.exists() and self._path.stat().st_size + len(lines) > self._most_bytes:
                self._path.replace(before(self._path))
            # Who talks to which model, and when, is for the operator's eyes.
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                before_bytes = os.fstat(file).st_size
                if os.write(file, lines) < len(lines):
                    # Half a line would spoil the next one too.
                    os.ftruncate(file, before_bytes)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(file)
        except OSError as error:
            if not self._failed:
                _log.warning("cannot write %s: %s; nothing is recorded", self._path, error.strerror)
            self._failed = True
        else:
            self._failed = False


def before(path: Path) -> Path:
    """Return where the file that was full is kept."""
    return path.with_name(f"{path.name}.1")


def read_journal(paths: Sequence[Path]) -> Iterator[Observed]:
    """Yield what stands in those of the files that are there; lines that are none are left out."""
    for path in paths:
        if not path.is_file():
            continue
        with path.open("rb") as lines:
            for line in lines:
                try:
                    yield _LINE.decode(line)
                # A line that was cut off, or of another version.
                except UNREADABLE:
                    continue
