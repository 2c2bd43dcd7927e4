"""What happens to a unit, one turn at a time: told to its replicas, the figures and the log.

Owns: the turns, and the words for each.
Must not: decide who is loaded, or when anybody looks at that (`gateway.fleet.resident` does).
"""

import logging
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from engines.residency import Event, Rules, State, hopeless
from gateway.fleet.fleet import Fleet
from gateway.fleet.learned import LoadTimes
from gateway.fleet.replica import Condition, Replica
from gateway.fleet.tenant import Tenant
from gateway.fleet.tenants import Tenants
from gateway.observe.residency import Leaving, ResidencyMetrics

_log = logging.getLogger("weighbridge.engine")

ON_DEMAND = "it is loaded when a request needs it"
_PULLED_ON_DEMAND = "its weights are fetched when a request needs them"
_ASLEEP = "it sleeps, and wakes on its next request"
_WHY: Mapping[Leaving, str] = MappingProxyType(
    {
        Leaving.ROOM: "its room is needed",
        Leaving.IDLE: "it has been idle for long enough",
        Leaving.ASKED: "it was asked to",
    }
)


def dozes(replica: Replica) -> bool:
    """Say whether what runs never serves by itself: it sleeps, is about to, wakes or ends."""
    waking = replica.slept and replica.condition is Condition.STARTING
    return waking or replica.condition in (Condition.SLEEPING, Condition.DRAINING)


class Turns:
    """Mutable; owned by `gateway.fleet.resident.Resident`, which sets what is called.

    `adjust` has processes started and ended, `lives` says which replicas have one, `look_soon` has
    the planner asked. While it is `busy`, conditions that change are its own doing.
    """

    def __init__(
        self,
        fleet: Fleet,
        tenants: Tenants,
        metrics: ResidencyMetrics,
        times: LoadTimes,
        clock: Callable[[], float],
    ) -> None:
        self._fleet = fleet
        self._tenants = tenants
        self._metrics = metrics
        self._times = times
        self._clock = clock
        self.adjust: Callable[[], None] = lambda: None
        self.lives: Callable[[Replica], bool] = lambda _: False
        self.look_soon: Callable[[], None] = lambda: None
        self.busy = False

    def tell(self, tenant: Tenant, condition: Condition, reason: str = "") -> None:
        """Have a unit's replicas in a condition that no process of theirs tells of."""
        busy, self.busy = self.busy, True
        for replica in tenant.replicas:
            if replica.plan.problem is None:
                self._fleet.update(replica, condition, reason)
        self.busy = busy

    def moves_in(self, tenant: Tenant) -> None:
        """Take a unit that is new here; its processes may run already."""
        now_s = self._clock()
        known_s = self._times.known_s(tenant.residence.mark)
        tenant.load_s = tenant.load_s if known_s is None else known_s
        problem = next((r.plan.problem for r in tenant.replicas if r.plan.problem), None)
        if problem is not None:
            tenant.never(problem)
        elif tenant.absent or not any(map(self.lives, tenant.replicas)):
            self._rests(tenant)
        elif all(one.condition is Condition.SLEEPING for one in tenant.replicas):
            tenant.state = State.SLEEPING
        elif any(dozes(one) for one in tenant.replicas if self.lives(one)):
            # Those beside it are not asleep, or nobody asks it any more: it is loaded anew.
            tenant.state = State.DRAINING
            self.end(tenant)
        else:
            tenant.turn(Event.LOAD, now_s)
            if any(replica.ready for replica in tenant.replicas):
                tenant.loading_since_s = None  # nobody saw how long its load took
                tenant.turn(Event.LOADED, now_s)

    def _rests(self, tenant: Tenant) -> None:
        """Have a unit that nothing runs of wait until somebody asks for it."""
        if tenant.absent:
            tenant.state = State.ABSENT
            self.tell(tenant, Condition.ABSENT, _PULLED_ON_DEMAND)
        else:
            self.tell(tenant, Condition.STOPPED, ON_DEMAND)

    def rule_out(self, rules: Rules) -> None:
        """Say of each unit that is not in memory whether it can ever be loaded."""
        why = hopeless(rules, {one.name: one.residence.unit for one in self._tenants})
        for tenant in self._tenants:
            name = tenant.name
            if name in why and not tenant.state.occupies:
                if (tenant.state, tenant.reason) != (State.FAILED, why[name]):
                    _log.error("%s can never be loaded: %s", name, why[name])
                tenant.never(why[name])
                self.tell(tenant, Condition.FAILED, why[name])
            elif tenant.rests_until_s == math.inf and not any(
                replica.plan.problem for replica in tenant.replicas
            ):
                tenant.state, tenant.rests_until_s, tenant.reason = State.STOPPED, -math.inf, ""
                self._rests(tenant)

    def load(self, tenant: Tenant, now_s: float) -> None:
        """Begin a load, or wake it."""
        tenant.turn(Event.LOAD, now_s)
        self.tell(tenant, Condition.STARTING)
        if not tenant.wakes:
            self._metrics.load(tenant.name)

    def loaded(self, tenant: Tenant, now_s: float) -> None:
        """Take that a unit serves."""
        tenant.turn(Event.LOADED, now_s)
        if tenant.loading_since_s is not None:
            self._metrics.loaded(tenant.name, tenant.load_s)
            self._times.learn(tenant.residence.mark, tenant.load_s)

    def broke(self, tenant: Tenant, reason: str, *, for_good: bool = False) -> None:
        """Take that a load has failed."""
        now_s = self._clock()
        tenant.broke(reason, now_s, for_good=for_good)
        rest_s = tenant.rests_until_s - now_s
        _log.warning("%s could not be loaded; not tried again for %g s", tenant.name, rest_s)
        self._metrics.failure(tenant.name)
        self.end(tenant)

    def unload(self, tenant: Tenant, why: Leaving) -> None:
        """Have a unit leave memory when the requests that it has are over."""
        tenant.turn(Event.UNLOAD, self._clock())
        _log.info("%s is unloaded: %s", tenant.name, _WHY[why])
        self._metrics.unload(tenant.name, why)
        self.end(tenant)

    def end(self, tenant: Tenant) -> None:
        """Have a unit's processes ended; where there is none it has ended already."""
        self.adjust()
        self.tell(tenant, Condition.DRAINING, tenant.reason)
        if not any(map(self.lives, tenant.replicas)):
            self.ended(tenant)

    def ended(self, tenant: Tenant) -> None:
        """Take that a unit's last process has gone, and its memory with it."""
        if self._tenants.has_left(tenant):
            return
        tenant.ended(self._clock())
        failed = tenant.state is State.FAILED
        condition = Condition.FAILED if failed else Condition.STOPPED
        self.tell(tenant, condition, tenant.reason if failed else ON_DEMAND)
        self._fleet.wake()
        self.look_soon()

    def drowse(self, tenant: Tenant, now_s: float) -> None:
        """Have a unit fall asleep when the requests that it has are over."""
        tenant.turn(Event.UNLOAD, now_s)
        tenant.drowsy = True
        _log.info("%s goes to sleep", tenant.name)
        self._metrics.sleep(tenant.name)
        self.tell(tenant, Condition.DRAINING, "it goes to sleep")

    def slept(self, tenant: Tenant) -> None:
        """Take that a unit has given its GPU memory up."""
        tenant.turn(Event.SLEPT, self._clock())
        for replica in tenant.replicas:
            replica.slept = True
        self.tell(tenant, Condition.SLEEPING, _ASLEEP)
        self.look_soon()

    def pull(self, tenant: Tenant, now_s: float) -> None:
        """Begin to fetch a unit's weights."""
        tenant.turn(Event.PULL, now_s)
        self.tell(tenant, Condition.PULLING)
        self._metrics.pull(tenant.name)

    def not_pulled(self, tenant: Tenant, reason: str) -> None:
        """Take that weights did not come."""
        if tenant.state is not State.PULLING:
            return
        now_s = self._clock()
        tenant.not_pulled(reason, now_s)
        rest_s = tenant.rests_until_s - now_s
        _log.warning("%s: %s; not tried again for %g s", tenant.name, reason, rest_s)
        self._metrics.pull_failure(tenant.name)
        self.tell(tenant, Condition.FAILED, reason)
        self._fleet.wake()
        self.adjust()
        self.look_soon()
