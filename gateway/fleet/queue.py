"""Who of a model's requests begins next: so many at once, so many waiting, the most urgent first.

Owns: the places, the order, how long a wait will be, who is refused.
Must not: wait, read a clock, or know what a request or a replica is.

A wait is told from how long requests have held their places: with `n` before it and `c` places, a
request begins about (n + 1) x mean / c seconds from now.
"""

import math
from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from gateway.domain import Refusal

_LEAST_RETRY_S = 1.0
# How much the newest request says of how long the next ones take.
_NEWEST = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """How many requests of a model run at once, how many wait, and for how long at most."""

    max_concurrent: int
    max_queued: int = 1_024
    begin_within_s: float = 600


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request gets no place, and in how many seconds it may."""

    reason: Refusal
    retry_after_s: float


@dataclass(slots=True, eq=False)
class Ticket:
    """One request that waits since `since_s`; `wake` is called once, when granted or refused."""

    priority: float
    wake: Callable[[], None]
    since_s: float
    granted: bool = False
    refused: Refused | None = None


class ModelQueue:
    """Mutable, synchronous; used from the event loop's thread only.

    A place is taken by `begin` or granted to a ticket; `ended` or, for a ticket, `leave` gives it
    back, and the first of those who wait gets it.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.running = 0
        self._waiting: list[Ticket] = []
        self._mean_s: float | None = None
        self._held_since_s = math.inf

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def free(self) -> bool:
        """Whether a request may begin at once."""
        return self.running < self.limits.max_concurrent

    def follow(self, limits: Limits | None) -> None:
        """Go by other limits; with None all who wait begin, as there is none any more."""
        everybody = max(1, self.running + self.waiting)
        self.limits = limits or replace(self.limits, max_concurrent=everybody)
        if limits is None:
            self._held_since_s = math.inf  # whoever is held waits for that elsewhere from now on
        self._grant()

    def hold(self, since_s: float) -> None:
        """Let only those begin who have waited since before this; infinity lets everybody."""
        self._held_since_s = since_s
        self._grant()

    def since(self) -> Iterable[float]:
        """Return since when each of those who wait does."""
        return [ticket.since_s for ticket in self._waiting]

    def begin(self) -> None:
        """Take a place that is free."""
        self.running += 1

    def ended(self, held_s: float) -> None:
        """Give a place back that was held for so long."""
        mean_s = held_s if self._mean_s is None else self._mean_s
        self._mean_s = mean_s + _NEWEST * (held_s - mean_s)
        self._give_back()

    def join(
        self,
        priority: int,
        patience_s: float,
        wake: Callable[[], None],
        *,
        must: bool = False,
        since_s: float = 0.0,
    ) -> Ticket | Refused:
        """Wait behind all who are as urgent; refuse who would wait for longer than `patience_s`.

        A lower number is more urgent. In a full queue the last of the less urgent makes room.
        `must`: one that had begun before is never refused, and is the first.
        """
        if must:
            ticket = Ticket(-math.inf, wake, since_s)
            self._waiting.insert(0, ticket)
            return ticket
        ticket = Ticket(priority, wake, since_s)
        full = self.waiting >= self.limits.max_queued
        if full and not (self._waiting and self._waiting[-1].priority > priority):
            return Refused(Refusal.FULL, self._place_s(patience_s))
        ahead = sum(other.priority <= priority for other in self._waiting)
        if (self.wait_s(ahead) or 0) > patience_s:
            return Refused(Refusal.LATE, self._short_s(ahead, patience_s))
        if full:
            last = self._waiting.pop()
            last.refused = Refused(Refusal.DISPLACED, self._place_s(patience_s))
            last.wake()
        insort(self._waiting, ticket, key=lambda other: other.priority)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Forget a ticket; the place that it was granted goes to the next. Once for each ticket."""
        if ticket.granted:
            self._give_back()
        elif ticket in self._waiting:
            self._waiting.remove(ticket)

    def wait_s(self, ahead: int) -> float | None:
        """Return how long one waits with so many before it, None before anything was measured."""
        if self._mean_s is None:
            return None
        return (ahead + 1) * self._mean_s / self.limits.max_concurrent

    def expired(self) -> Refused:
        """Return the refusal of one that has waited for too long."""
        return Refused(Refusal.EXPIRED, self._place_s(self.limits.begin_within_s))

    def _place_s(self, patience_s: float) -> float:
        """Return when the queue has a place again, and the wait in it is short enough."""
        return max(self.wait_s(0) or 0, self._short_s(self.waiting, patience_s))

    def _short_s(self, ahead: int, patience_s: float) -> float:
        """Return when those who are before it have become few enough."""
        return max(_LEAST_RETRY_S, (self.wait_s(ahead) or 0) - max(0.0, patience_s))

    def _give_back(self) -> None:
        self.running -= 1
        self._grant()

    def _grant(self) -> None:
        while self.free:
            held_s = self._held_since_s
            ticket = next((one for one in self._waiting if one.since_s < held_s), None)
            if ticket is None:
                return
            self._waiting.remove(ticket)
            self.running += 1
            ticket.granted = True
            ticket.wake()
