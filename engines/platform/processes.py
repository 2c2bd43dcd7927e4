"""How a process is doing, as the system tells.

Owns: its state and the CPU that it has used. Must not: judge.
"""

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Seen:
    """A process at one moment: its state as Linux writes it, and the CPU that it has used."""

    state: str
    cpu_s: float


def seen_of(pid: int) -> Seen | None:
    """Return how a process is, None where the system does not tell."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return Seen(fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return None
