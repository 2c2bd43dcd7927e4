"""What a process and its children take now, as the system counts it.

Owns: reading it on Linux and macOS.
Must not: start or end a process.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes of RAM; a page that several processes have counts in shares (PSS)."""

    file_backed_bytes: int = 0
    anonymous_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.file_backed_bytes + self.anonymous_bytes

    def __add__(self, other: "MemoryUse") -> "MemoryUse":
        return MemoryUse(
            self.file_backed_bytes + other.file_backed_bytes,
            self.anonymous_bytes + other.anonymous_bytes,
        )


def use_of(pid: int) -> MemoryUse | None:
    """Return what a process and all that it has started take; None where it is gone.

    On macOS, which tells no shares, the resident sets are added up, all as anonymous.
    """
    if sys.platform == "darwin":
        return _resident(pid)
    found = [use for process in tree_of(pid) if (use := _pss(process)) is not None]
    return sum(found, MemoryUse()) if found else None


def tree_of(pid: int, proc: Path = _PROC) -> tuple[int, ...]:
    """Return a process and its descendants, on Linux."""
    parents = dict(_parents(proc))
    found, new = [pid], {pid}
    while new := {child for child, parent in parents.items() if parent in new}:
        found += sorted(new)
    return tuple(found)


def read_rollup(text: str) -> MemoryUse:
    """Read `/proc/PID/smaps_rollup`; shared memory counts as anonymous, for no file is behind it.

    Kernels before 5.4 do not tell the kinds apart: then all of it counts as anonymous.
    """
    sizes: dict[str, int] = {}
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        number = rest.split()[:1]
        if number and number[0].isdigit():
            sizes[key] = int(number[0]) * 1024
    file_backed = sizes.get("Pss_File", 0)
    return MemoryUse(file_backed, sizes.get("Pss", 0) - file_backed)


def read_ps(text: str, pid: int) -> MemoryUse | None:
    """Read `ps -axo pid=,ppid=,rss=`: the resident sets of a process and its descendants."""
    rows: dict[int, tuple[int, int]] = {}
    for line in text.splitlines():
        numbers = line.split()
        if len(numbers) == 3 and all(number.isdigit() for number in numbers):
            rows[int(numbers[0])] = (int(numbers[1]), int(numbers[2]) * 1024)
    if pid not in rows:
        return None
    found, new = {pid}, {pid}
    while new := {child for child, (parent, _) in rows.items() if parent in new} - found:
        found |= new
    return MemoryUse(0, sum(rows[process][1] for process in found))


def _parents(proc: Path) -> Iterator[tuple[int, int]]:
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it has ended
            # The name stands in brackets, and may have some.
            yield int(folder.name), int(text.rpartition(")")[2].split()[1])


def _pss(pid: int) -> MemoryUse | None:
    try:
        return read_rollup((_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii"))
    except OSError:
        return None


def _resident(pid: int, environ: Mapping[str, str] = os.environ) -> MemoryUse | None:
    try:
        asked = subprocess.run(
            ["/bin/ps", "-axo", "pid=,ppid=,rss="],
            capture_output=True,
            check=False,
            env={"LC_ALL": "C", "PATH": environ.get("PATH", "")},
        )
    except OSError:
        return None
    return read_ps(asked.stdout.decode("ascii", "replace"), pid)
