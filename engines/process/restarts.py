"""Whether and when a child that ended is started again. Pure: no clock, no chance of its own.

Owns: the pauses, and the words for an exit.
Must not: start anything.
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# A child that was ready for this long has earned a fresh start.
FORGIVEN_AFTER_S = 60.0
# What a child says with this code (bad weights, bad arguments) no restart mends.
HOPELESS_EXIT = 2
# Signals by which a program's own faults end it. One before it was ever ready may be chance; so
# many in a row are the weights or the build, and loading them again and again only burns cores.
FAULTS = frozenset(
    {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP}
)
MOST_FAULTS_AT_START = 3

# In quotes a folder's name may have blanks; an address (`http://host/path`) is no folder.
_FOLDERS = re.compile(r"(?<=['\"])/[^'\"\n]*/|(?<![\w/])/(?:[^\s'\"/:]+/)+")
_LONGEST_REASON = 300
# (EngineCore pid=12) ERROR 11-28 21:47:50 [core.py:15] ValueError: no room
_NAMED = re.compile(
    r"\((?P<who>\w+) pid=\d+\) (?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] )?(?P<said>\S.*)"
)
_RAISED = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception): ")


@dataclass(frozen=True, slots=True)
class Restart:
    """The decision: start again after `pause_s`, or never (`None`). `failures` is the new count."""

    pause_s: float | None
    failures: int


def decide(exit_code: int | None, *, failures: int, ready_s: float, jitter: float) -> Restart:
    """Decide after an end.

    `exit_code` is None for a child that was killed because it was too slow or deaf. `failures`
    counts the ends so far in a row, `ready_s` is how long it had been ready (0: it never was),
    `jitter` is in [0, 1) and spreads the restarts of several children over a fifth of the pause.
    """
    if exit_code == HOPELESS_EXIT:
        return Restart(None, failures + 1)
    faulty = exit_code is not None and -exit_code in FAULTS and ready_s == 0
    if faulty and failures + 1 >= MOST_FAULTS_AT_START:
        return Restart(None, failures + 1)
    before = 0 if ready_s >= FORGIVEN_AFTER_S else failures
    pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(before, 16))
    return Restart(pause_s * (1 + 0.2 * jitter), before + 1)


def describe_exit(exit_code: int, last_lines: Sequence[str]) -> str:
    """Say for people how a child ended: the code or signal, and its last words.

    A line that begins with a blank goes on from the one before it, as C++ writes its exceptions.
    """
    if exit_code < 0:
        try:
            how = f"killed by {signal.Signals(-exit_code).name}"
        except ValueError:
            how = f"killed by signal {-exit_code}"
    else:
        how = f"exit code {exit_code}"
    if exit_code == -signal.SIGKILL:
        how += ", as the system does when memory runs out"
    said = _cause(last_lines) or _last_words([line for line in last_lines if line.strip()])
    return without_folders(f"{how}: {said}" if said else how)


def _cause(lines: Sequence[str]) -> str:
    """Return the exception that ended a program of several processes, "" where there is none.

    vLLM names the process before each line. Its server only says that an engine has failed, and
    then takes leave; the exception of an inner process is the cause.
    """
    told = [found for found in map(_NAMED.match, lines) if found and _RAISED.match(found["said"])]
    inner = [found["said"] for found in told if found["who"] != "APIServer"]
    return next(iter((inner or [found["said"] for found in told])[-1:]), "")


def _last_words(lines: Sequence[str]) -> str:
    begins = next((at for at in range(len(lines) - 1, 0, -1) if not lines[at][0].isspace()), 0)
    return " ".join(line.strip() for line in lines[begins:])


def without_folders(text: str) -> str:
    """Return `text` with paths cut down to file names: it may reach clients of other machines."""
    return _FOLDERS.sub("", text)[:_LONGEST_REASON]
