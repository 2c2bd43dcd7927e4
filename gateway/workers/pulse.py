"""Whether a worker hangs, told from one that is merely busy.

Owns: the decision.
Must not: end anybody (`gateway.workers.crew` does), read a clock, or ask the system.

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

from engines.platform import Seen

# Stopped by a signal. Whoever is held by a debugger (`t`) is looked after by somebody.
_STOPPED, _ASLEEP = "T", "S"
_NO_CPU_S = 0.02
_MOST_STILL_LOOKS = 8
_LONGEST_TURN_S = 10.0


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
