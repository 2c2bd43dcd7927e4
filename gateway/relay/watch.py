"""The deadlines of a connection's exchanges, kept by one timer however many of them it has.

Owns: when a wait has lasted too long, and which limit that was.
Must not: read or close a connection; what waits on it is woken with `DeadlinePassed`.

A timer for each event would cost more than relaying it, and one for each exchange a good part of
that. This one looks when the next deadline could pass, and goes to sleep again where an event, or
another exchange, came meanwhile.
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
    """Watches one connection: each time from `begin`, at the sending of a request, until `end`.

    Its timer stays between exchanges, and is not set again unless the next has a deadline before
    it: most never come to one.
    """

    __slots__ = (
        "_begun",
        "_deadlines",
        "_ends_s",
        "_heard_s",
        "_link",
        "_looks_s",
        "_loop",
        "_on",
        "_timer",
    )

    def __init__(self, link: Watched, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._link = link
        self._on = False
        self._begun = False
        self._heard_s = self._ends_s = self._looks_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, deadlines: Deadlines, spent_s: float = 0.0) -> None:
        """Watch an exchange, of whose total `spent_s` seconds have passed before."""
        now_s = self._loop.time()
        self._on, self._begun = True, False
        self._deadlines = deadlines
        self._heard_s = now_s
        self._ends_s = now_s + deadlines.total_s - spent_s
        due_s = self._due_s(now_s)
        if self._timer is None or due_s < self._looks_s:
            self._sleep(due_s)

    def heard(self) -> None:
        """Note a sign of life; with the first the answer has begun."""
        self._begun = True
        self._heard_s = self._loop.time()

    def end(self) -> None:
        """Stop watching, until the next exchange. Idempotent."""
        self._on = False

    def close(self) -> None:
        """Stop watching for good: the connection is gone. Idempotent."""
        self._on = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due_s(self, now_s: float) -> float:
        limits = self._deadlines
        silent_s = self._heard_s + (limits.idle_s if self._begun else limits.first_byte_s)
        # Never longer than `idle_s`: the answer may begin meanwhile and then be silent.
        return min(silent_s, now_s + limits.idle_s, self._ends_s)

    def _sleep(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_s = due_s
        self._timer = self._loop.call_at(due_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._on:
            return
        now_s, awaited = self._loop.time(), self._awaited()
        if not self._link.waits:
            self._heard_s = now_s  # it is our reader, or a slow client, that is behind
        if now_s >= self._ends_s:
            self._link.stop(TotalPassed(self._deadlines.total_s))
        elif now_s >= self._heard_s + awaited.limit_s:
            self._link.stop(DeadlinePassed(*awaited))
        else:
            self._sleep(self._due_s(now_s))

    def _awaited(self) -> "_Awaited":
        limits = self._deadlines
        if self._begun:
            return _Awaited("more of the answer", limits.idle_s, "idle_timeout_s")
        return _Awaited("answer", limits.first_byte_s, "first_byte_timeout_s")
