"""What ended requests have left, on disk: so that it outlives the process (`prefix_cache_dir`).

Owns: the files, one for each state, in a folder of their own for each model and way of keeping.
Must not: decide what is kept (`parked`), or trust what it reads: a file that is not whole, or not
of this model, is passed over.
"""

import contextlib
import hashlib
import logging
import os
import re
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from engines.llamacpp.parked import Leaving
from engines.platform import write_whole

_log = logging.getLogger("weighbridge.worker")

_SUFFIX = ".prefix"
_FOLDER_MODE = 0o700  # prompts of people are in it
_MARK = re.compile(r"[0-9a-f]{20}")
_LONGEST_UNUSED_S = 14 * 86_400


class _Head(msgspec.Struct, frozen=True):
    """What stands before the tokens and the state: how long these are, and of which adapter."""

    adapter: int
    tokens: int
    state: int
    sum: int


def mark_of(*facts: object) -> str:
    """Return the name of a folder: another one where any of these facts is another."""
    return hashlib.blake2s(repr(facts).encode(), digest_size=10).hexdigest()


class Shelf:
    """One folder of states. What cannot be read or written is told in the log, and no more.

    Folders beside it that nobody has used for two weeks are removed when it is read: each change
    of weights or of their settings begins a new one.
    """

    def __init__(self, folder: Path, mark: str) -> None:
        self._folder = folder / mark

    def load(self) -> Iterator[Leaving]:
        """Yield the states, the least recently used first; each is read when it is asked for.

        There may be more than are kept now, and more than there is memory for.
        """
        with contextlib.suppress(OSError):
            os.utime(self._folder)  # used now
        with contextlib.suppress(OSError):
            self._clear()
        try:
            found = sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda file: file.stat().st_mtime)
        except OSError as error:
            _log.warning("saved prefixes cannot be read: %s", error.strerror)
            return
        for file in found:
            yield from _read(file)

    def store(self, kept: Iterable[Leaving]) -> None:
        """Keep just these, of which the least recently used come first."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
            names = {self._write(at, leaving) for at, leaving in enumerate(kept)}
            # What another replica is writing at this moment has no such end yet.
            for file in self._folder.glob(f"*{_SUFFIX}"):
                if file.name not in names:
                    file.unlink(missing_ok=True)
            os.utime(self._folder)  # where nothing was new
        except OSError as error:
            _log.warning("prefixes cannot be saved: %s", error.strerror)

    def _clear(self) -> None:
        """Remove the folders of others that have not been used for long."""
        longest_s = time.time() - _LONGEST_UNUSED_S
        for folder in self._folder.parent.iterdir():
            if not _MARK.fullmatch(folder.name) or folder.stat().st_mtime > longest_s:
                continue
            for file in folder.glob(f"*{_SUFFIX}*"):
                file.unlink(missing_ok=True)
            folder.rmdir()
            _log.info("saved prefixes unused for two weeks are removed: %s", folder.name)

    def _write(self, at: int, leaving: Leaving) -> str:
        """Write a state, whole or not at all; return the file's name. What is there stays."""
        tokens = leaving.tokens.tobytes()
        name = hashlib.blake2s(tokens + leaving.adapter.to_bytes(4, "little")).hexdigest() + _SUFFIX
        file = self._folder / name
        if not file.exists():
            check = _sum_of(tokens, leaving.state.data)
            head = _Head(leaving.adapter, len(tokens), leaving.state.nbytes, check)
            told = msgspec.json.encode(head) + b"\n" + tokens
            write_whole(file, [told, leaving.state.data])
        os.utime(file, (at, at))  # their order; when that was is nobody's business
        return name


def _read(file: Path) -> Iterator[Leaving]:
    try:
        with file.open("rb") as found:
            head = msgspec.json.decode(found.readline(), type=_Head)
            tokens, state = found.read(head.tokens), bytearray(found.read(head.state))
    except (OSError, ValueError, MemoryError):  # msgspec's errors are ValueErrors
        return
    if _sum_of(tokens, state) == head.sum:
        yield Leaving(
            np.frombuffer(tokens, dtype=np.int32), head.adapter, np.frombuffer(state, np.uint8)
        )


def _sum_of(tokens: bytes, state: "memoryview | bytearray") -> int:
    """Return what tells a file that is broken off; a stronger sum would take most of a load."""
    return zlib.crc32(state, zlib.crc32(tokens))
