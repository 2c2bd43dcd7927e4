"""Whether a worker hangs, told from one that is merely busy.

Owns: the decision, and what the system tells of a process.
Must not: end anybody (`gateway.workers.crew` does), or read a clock.

A worker is looked at once a second, and asked for a sign each time, which its loop gives between
two of its turns. Where none has come:

| since it last gave one | it |
|---|---|
| it was stopped, or slept without any CPU, at each of eight looks in a row | hangs |
| it has had ten seconds of CPU, which no turn of its loop takes | hangs |
| it wants the CPU and others have it, or it waits for a disk | is busy |
| the system tells nothing of it | may be busy |

Looks are counted, and no seconds: where the parent itself stood still there were none.
"""

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
# Stopped by a signal. Whoever is held by a debugger (`t`) is looked after by somebody.
_STOPPED, _ASLEEP = "T", "S"
_NO_CPU_S = 0.02
_MOST_STILL_LOOKS = 8
_LONGEST_TURN_S = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A process at one moment: its state as Linux writes it, and the CPU that it has used."""

    state: str
    cpu_s: float


class Pulse:
    """Of one worker, since it last gave a sign; mutable."""

    def __init__(self) -> None:
        self._first_s: float | None = None
        self._last_s = 0.0
        self._still = 0

    def hangs(self, seen: Seen | None) -> bool:
        """Take another look at a worker that gives no sign; say whether it hangs."""
        if seen is None:
            return False
        if self._first_s is None:
            self._first_s = self._last_s = seen.cpu_s
        used_s, self._last_s = seen.cpu_s - self._last_s, seen.cpu_s
        sleeps = seen.state == _ASLEEP and used_s < _NO_CPU_S
        self._still = self._still + 1 if sleeps or seen.state == _STOPPED else 0
        return self._still >= _MOST_STILL_LOOKS or seen.cpu_s - self._first_s >= _LONGEST_TURN_S


def seen_of(pid: int) -> Seen | None:
    """Return how a process is, None where the system does not tell."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return Seen(fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return None
