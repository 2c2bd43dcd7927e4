"""The deadlines of one exchange, kept by one timer however many events it has.

Owns: when a wait has lasted too long, and which limit that was.
Must not: read or close a connection; what waits on it is woken with `DeadlinePassed`.

A timer for each event would cost more than relaying it. This one looks when the next deadline could
pass, and goes to sleep again where an event came meanwhile.
"""

import asyncio
from typing import NamedTuple, Protocol

from engines.kinds import Deadlines


class DeadlinePassed(Exception):
    """A wait has lasted for longer than its limit; `key` is the one in the file that sets it."""

    def __init__(self, what: str, limit_s: float, key: str) -> None:
        super().__init__(f"no {what} within {limit_s:g} s")
        self.limit_s = limit_s
        self.key = key


class TotalPassed(DeadlinePassed):
    """The whole exchange has lasted for too long; another engine could not mend that."""

    def __init__(self, limit_s: float) -> None:
        super().__init__("end of the answer", limit_s, "total_timeout_s")


class Watched(Protocol):
    """What is watched: `waits` says whether anybody waits for the engine at this moment."""

    @property
    def waits(self) -> bool:
        """Whether anybody waits for the engine."""

    def stop(self, error: Exception) -> None:
        """Let whoever waits for the engine, now or later, get `error`."""


class _Awaited(NamedTuple):
    """What the engine owes next, within how many seconds, and the key in the file that says so."""

    what: str
    limit_s: float
    key: str


class Watch:
    """Watches from the sending of a request until `end`, on the running loop."""

    __slots__ = ("_begun", "_deadlines", "_ends_s", "_heard_s", "_link", "_loop", "_timer")

    def __init__(self, link: Watched, deadlines: Deadlines, spent_s: float) -> None:
        """Begin; `spent_s` seconds of the total have passed before."""
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._deadlines = deadlines
        self._begun = False
        self._heard_s = self._loop.time()
        self._ends_s = self._heard_s + deadlines.total_s - spent_s
        self._timer = self._sleep(self._heard_s)

    def heard(self) -> None:
        """Note a sign of life; with the first the answer has begun."""
        self._begun = True
        self._heard_s = self._loop.time()

    def end(self) -> None:
        """Stop watching. Idempotent."""
        self._timer.cancel()

    def _sleep(self, now_s: float) -> asyncio.TimerHandle:
        silent_s = self._heard_s + self._awaited().limit_s
        # Never longer than `idle_s`: the answer may begin meanwhile and then be silent.
        at_s = min(silent_s, now_s + self._deadlines.idle_s, self._ends_s)
        return self._loop.call_at(at_s, self._look)

    def _look(self) -> None:
        now_s, awaited = self._loop.time(), self._awaited()
        if not self._link.waits:
            self._heard_s = now_s  # it is our reader, or a slow client, that is behind
        if now_s >= self._ends_s:
            self._link.stop(TotalPassed(self._deadlines.total_s))
        elif now_s >= self._heard_s + awaited.limit_s:
            self._link.stop(DeadlinePassed(*awaited))
        else:
            self._timer = self._sleep(now_s)

    def _awaited(self) -> "_Awaited":
        limits = self._deadlines
        if self._begun:
            return _Awaited("more of the answer", limits.idle_s, "idle_timeout_s")
        return _Awaited("answer", limits.first_byte_s, "first_byte_timeout_s")
