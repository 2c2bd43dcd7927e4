"""One unit as the gateway has it: its state, who waits for it, how its loads have gone.

Owns: this state and its turns. Must not: load or end anything, or decide who does.
"""

import contextlib
import math
from bisect import insort
from collections.abc import Iterable

from engines.kinds import Absent
from engines.residency import Event, Standing, State, step
from gateway.fleet.coming import Coming
from gateway.fleet.replica import Replica
from gateway.fleet.residence import Residence

UNKNOWN_LOAD_S = 30.0  # until a first load has been seen
UNKNOWN_WAKE_S = 5.0
UNKNOWN_PULL_S = 600.0  # until its size and pace are known
# What has failed once may have been killed by chance: who waits for it goes on waiting.
SHORT_REST_S, SECOND_REST_S, LONGEST_REST_S = 0.5, 5.0, 600.0


class Tenant:
    """Mutable; owned by `gateway.fleet.resident.Resident`. `reason` says why it has failed."""

    def __init__(self, residence: Residence, replicas: Iterable[Replica], now_s: float) -> None:
        self.residence = residence
        self.replicas = tuple(replicas)
        self.state = State.STOPPED
        self.since_s = now_s
        self.last_used_s = now_s
        self.load_s = UNKNOWN_LOAD_S
        self.loading_since_s: float | None = None  # a load from the very beginning
        self.rests_until_s = -math.inf
        self.reason = ""
        self.wanted = residence.at_start
        self.waiting: list[float] = []
        self.failures = 0
        self.coming: Coming | None = None  # while its weights are pulled
        self.drowsy = self.dormant = False  # what drains is to sleep; ends out of its sleep
        self.wakes = False  # what loads only wakes
        self.wake_s = UNKNOWN_WAKE_S
        self.has_come = False  # they are here, and nobody has looked at them yet
        self._gave_up = self._once = False

    @property
    def name(self) -> str:
        """The unit's name."""
        return self.residence.unit.name

    @property
    def absent(self) -> tuple[Absent, ...]:
        """What has to be pulled before it can be loaded."""
        every = (replica.plan.absent for replica in self.replicas)
        return tuple(dict.fromkeys(one for one in every if one is not None))

    @property
    def running(self) -> int:
        """How many requests its replicas have."""
        return sum(replica.in_flight for replica in self.replicas)

    @property
    def runs(self) -> bool:
        """Whether its processes are to be there."""
        return self.drowsy or self.state in (State.LOADING, State.READY, State.SLEEPING)

    def turn(self, event: Event, now_s: float) -> None:
        """Go where an event leads."""
        before, since_s = self.state, self.since_s
        self.state = step(before, event)
        self.since_s = now_s
        dormant = before is State.SLEEPING and self.state is State.DRAINING
        self.drowsy, self.dormant = False, dormant
        if event is Event.PULL:
            self.coming, self.has_come = Coming(now_s), False
        elif event is Event.LOAD:
            self.wanted, self.wakes = False, before is State.SLEEPING
            self.loading_since_s = None if self.wakes else now_s
        elif event is Event.UNLOAD:
            self.wakes = False
        elif event is Event.DIED:
            self.loading_since_s = None
        elif event is Event.LOADED:
            self.last_used_s, self.failures, self.reason = now_s, 0, ""
            if self.wakes:
                self.wake_s = now_s - since_s
            elif self.loading_since_s is not None:
                self.load_s = now_s - self.loading_since_s
            self.wakes = False

    def broke(self, reason: str, now_s: float, *, for_good: bool) -> None:
        """Note that a load has failed; the longer that goes on, the longer it rests."""
        self.failures += 1
        self.reason = reason
        self._once = self.failures == 1 and not for_good
        rest_s = min(LONGEST_REST_S, SECOND_REST_S * 2.0 ** min(self.failures - 2, 16))
        if for_good:
            rest_s = LONGEST_REST_S
        self.rests_until_s = now_s + (SHORT_REST_S if self._once else rest_s)
        self._gave_up, self.wakes = True, False
        self.turn(Event.BROKE, now_s)

    def not_pulled(self, reason: str, now_s: float) -> None:
        """Note that its weights did not come; the pull itself has tried again and again."""
        self.failures += 1
        self.reason, self.coming, self._once = reason, None, False
        rest_s = min(LONGEST_REST_S, SECOND_REST_S * 2.0 ** min(self.failures - 1, 16))
        self.rests_until_s = now_s + rest_s
        self.turn(Event.BROKE, now_s)

    def ended(self, now_s: float) -> None:
        """Note that its last process has ended."""
        self.turn(Event.GAVE_UP if self._gave_up else Event.ENDED, now_s)
        self._gave_up = False

    def never(self, reason: str) -> None:
        """Note that it can never be loaded."""
        self.state, self.reason, self.rests_until_s = State.FAILED, reason, math.inf
        self._once = False

    def standing(self, queued: Iterable[float], *, held: bool) -> Standing:
        """Return how it is doing; `queued` says since when others wait for a place at it."""
        waiting = sorted([*self.waiting, *queued])
        return Standing(
            self.state,
            self.since_s,
            self.last_used_s,
            self.running,
            tuple(waiting),
            self.load_s,
            self.rests_until_s,
            self.wanted,
            held,
            bool(self.absent),
            self.drowsy,
            self.dormant,
        )

    def ready_in_s(self, now_s: float) -> float | None:
        """Return about how soon it serves, None where nobody knows that it will."""
        if self.state is State.FAILED:
            rest_s = max(0.0, self.rests_until_s - now_s)
            return rest_s + self.load_s if math.isfinite(rest_s) else None
        if self.state is State.PULLING and self.coming is not None:
            left_s = self.coming.left_s(now_s)
            return None if left_s is None else left_s + self.load_s
        if self.state is State.ABSENT:
            return None
        if self.state is State.READY:
            return 0.0
        if self.state is State.LOADING:
            takes_s = self.wake_s if self.wakes else self.load_s
            return max(0.0, takes_s - (now_s - self.since_s))
        return self.wake_s if self.state is State.SLEEPING or self.drowsy else self.load_s

    def retry_in_s(self, now_s: float) -> float | None:
        """Return how soon a request may be tried again that could not wait, None if never."""
        if self.state is State.FAILED:
            rest_s = self.rests_until_s - now_s
            return max(0.0, rest_s) if math.isfinite(rest_s) else None
        return self.ready_in_s(now_s)

    def comes(self, now_s: float) -> bool:
        """Say whether waiting for it may help: it is loaded, or will be when somebody waits."""
        return self.state is not State.FAILED or self._once or now_s >= self.rests_until_s

    def join(self, since_s: float) -> None:
        """Note a request that waits."""
        insort(self.waiting, since_s)

    def leave(self, since_s: float) -> None:
        """Note that a request waits no more."""
        with contextlib.suppress(ValueError):  # another file has let it wait elsewhere
            self.waiting.remove(since_s)
