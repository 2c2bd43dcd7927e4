"""What was measured of workers before, and what it makes of an estimate.

Owns: where that is kept, and what follows from it. Must not: measure; know how it is kept.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from engines.memory.kept import Kept
from engines.memory.measured import MemoryUse
from engines.memory.need import RAM, MemoryNeed, Part

_FILE = "memory.json"


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
        self._kept = Kept(None if folder is None else folder / _FILE, dict[str, Seen])

    def seen(self, mark: str) -> Seen | None:
        """Return what was measured of this model with these settings, None where nothing was."""
        return self._kept.get(mark)

    def learn(self, mark: str, seen: Seen) -> None:
        """Keep what was measured; of several the one that had more in it."""
        before = self._kept.get(mark)
        self._kept.put(mark, seen if before is None or seen.full >= before.full else before)
