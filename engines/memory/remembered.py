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
    """The most that was seen of a process: after a load, before any request, and at its end.

    What nobody has seen yet is 0.
    """

    file_backed_bytes: int = 0
    anonymous_bytes: int = 0
    late_file_backed_bytes: int = 0
    late_anonymous_bytes: int = 0

    @classmethod
    def loaded(cls, use: MemoryUse) -> "Seen":
        """Return what was measured after a load."""
        return cls(use.file_backed_bytes, use.anonymous_bytes)

    @classmethod
    def leaving(cls, use: MemoryUse) -> "Seen":
        """Return what was measured at the end, when requests had filled what they fill."""
        return cls(0, 0, use.file_backed_bytes, use.anonymous_bytes)

    def most(self, other: "Seen") -> "Seen":
        """Return the larger of each number."""
        return Seen(*map(max, msgspec.structs.astuple(self), msgspec.structs.astuple(other)))


def corrected(need: MemoryNeed, seen: Seen | None) -> MemoryNeed:
    """Return an estimate of RAM by what was measured, and what had not been touched by then.

    Parts keep their estimated sizes; what they are off by is the process's. Pages of files are
    never fewer than reckoned: other processes may have had their shares of them. Who brings nothing
    late claims all of it at the start, touched or not: that is never less either.
    """
    if seen is None:
        return need
    late = sum(part.size_bytes for part in need.parts if part.device == RAM and part.late)
    file_backed = max(seen.file_backed_bytes, seen.late_file_backed_bytes)
    anonymous = seen.late_anonymous_bytes
    if seen.anonymous_bytes:
        anonymous = max(anonymous, seen.anonymous_bytes + late)
    if not file_backed:  # this system does not tell them apart
        anonymous -= need.file_backed()
    anonymous -= need.anonymous()
    if not late or not seen.anonymous_bytes:
        anonymous = max(0, anonymous)
    return MemoryNeed(tuple(_put(need.parts, max(0, file_backed - need.file_backed()), anonymous)))


def _put(parts: Iterable[Part], file_backed: int, anonymous: int) -> Iterable[Part]:
    for part in parts:
        if part.name == "process" and part.device == RAM and not part.late:
            more = file_backed if part.file_backed else anonymous
            file_backed, anonymous = (0, anonymous) if part.file_backed else (file_backed, 0)
            yield replace(part, size_bytes=max(0, part.size_bytes + more))
        else:
            yield part
    if file_backed:  # of which nothing was reckoned
        yield Part("process", RAM, file_backed, file_backed=True)


class Remembered:
    """What was measured, by mark. Without a folder nothing outlives the process."""

    def __init__(self, folder: Path | None) -> None:
        self._kept = Kept(None if folder is None else folder / _FILE, dict[str, Seen])

    def seen(self, mark: str) -> Seen | None:
        """Return what was measured of this model with these settings, None where nothing was."""
        return self._kept.get(mark)

    def learn(self, mark: str, seen: Seen) -> bool:
        """Keep what was measured, of several the most; say whether anything is new."""
        before = self._kept.get(mark) or Seen()
        most = before.most(seen)
        if most == before:
            return False
        self._kept.put(mark, most)
        return True
