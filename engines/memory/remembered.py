"""What was measured of workers before, and what it makes of an estimate.

Owns: one small file. Must not: measure; fail anybody: what cannot be read or kept is learnt again.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from engines.memory.measured import MemoryUse
from engines.memory.need import RAM, MemoryNeed, Part

_FILE = "memory.json"
_MOST = 500


class Seen(msgspec.Struct, frozen=True):
    """What a process took; `full`: after requests had filled all that it fills."""

    file_backed_bytes: int
    anonymous_bytes: int
    full: bool

    @classmethod
    def of(cls, use: MemoryUse, *, full: bool) -> "Seen":
        """Return what was measured, to be kept."""
        return cls(use.file_backed_bytes, use.anonymous_bytes, full)


def corrected(need: MemoryNeed, seen: Seen | None) -> MemoryNeed:
    """Return an estimate of RAM by what was measured, and what had not been touched by then.

    Parts keep their estimated sizes; what they are off by is the process's.
    """
    if seen is None:
        return need
    untouched = 0 if seen.full else sum(p.size_bytes for p in need.parts if _comes_later(p))
    file_backed = max(0, seen.file_backed_bytes - need.file_backed())
    anonymous = seen.anonymous_bytes + untouched - need.anonymous()
    return MemoryNeed(tuple(_put(need.parts, file_backed, anonymous)))


def _comes_later(part: Part) -> bool:
    return part.device == RAM and part.late


def _put(parts: Iterable[Part], file_backed: int, anonymous: int) -> Iterable[Part]:
    for part in parts:
        if part.name == "process" and part.device == RAM and not part.late:
            more = file_backed if part.file_backed else anonymous
            yield replace(part, size_bytes=max(0, part.size_bytes + more))
        else:
            yield part


class Remembered:
    """What was measured, by mark. Without a folder nothing outlives the process."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / _FILE
        self._known: dict[str, Seen] | None = None

    def seen(self, mark: str) -> Seen | None:
        """Return what was measured of this model with these settings, None where nothing was."""
        return self._all().get(mark)

    def learn(self, mark: str, seen: Seen) -> None:
        """Keep what was measured; of several the one that had more in it."""
        known = self._all()
        before = known.pop(mark, None)
        known[mark] = seen if before is None or seen.full >= before.full else before
        while len(known) > _MOST:
            del known[next(iter(known))]
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_suffix(f".{os.getpid()}")
            part.write_bytes(msgspec.json.encode(known))
            part.replace(self._path)

    def _all(self) -> dict[str, Seen]:
        if self._known is None:
            self._known = {}
            if self._path is not None:
                with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                    kind = dict[str, Seen]
                    self._known = msgspec.json.decode(self._path.read_bytes(), type=kind)
        return self._known
