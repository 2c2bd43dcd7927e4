"""Who is in memory: the planner's decisions carried out on replicas.

Owns: the turns of the units' states, when the planner is asked, the hold on admission.
Must not: decide who is loaded (`engines.residency` does); start or end processes
(`gateway.fleet.care` does, for those that `runs` names); answer requests
(`gateway.fleet.reception` does).

It is asked synchronously whenever something happens, and a timer asks when the plan says so. A
process counts from the moment its start is decided until it has ended.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from engines.residency import Event, Plan, State, decide, hopeless
from gateway.fleet.alarm import Alarm
from gateway.fleet.fleet import Fleet
from gateway.fleet.learned import LoadTimes
from gateway.fleet.reception import Reception
from gateway.fleet.replica import Condition, Replica
from gateway.fleet.residence import Residence, Residing
from gateway.fleet.tenant import Tenant
from gateway.fleet.tenants import Tenants
from gateway.observe.residency import ResidencyMetrics, UnitFigures

_log = logging.getLogger("weighbridge.engine")

ON_DEMAND = "it is loaded when somebody asks for it"
_NOT_TAKEN = "its weights were fetched, but its engine does not find what it takes among them"
_PULLED_ON_DEMAND = "its weights are fetched when somebody asks for it"


class Resident:
    """Mutable; used from the event loop's thread only. Without units it lets everything run.

    `adjust` has processes started and ended as `runs` says; `lives` says which replicas have one.
    """

    def __init__(
        self,
        fleet: Fleet,
        metrics: ResidencyMetrics,
        times: LoadTimes,
        clock: Callable[[], float],
    ) -> None:
        self._fleet = fleet
        self._metrics = metrics
        self._times = times
        self._clock = clock
        self._adjust: Callable[[], None] = lambda: None
        self._lives: Callable[[Replica], bool] = lambda _: False
        self._tenants = Tenants()
        self.reception = Reception(self._tenants, clock, self.look_soon)
        self._alarm = Alarm(self.look)
        self._acting = self._started = False
        # Called when weights are here: whoever knows the file has to say what they are.
        self.on_pulled: Callable[[], None] = lambda: None
        fleet.on_update = self._noticed
        fleet.coming = self.reception.coming_s

    def serve(self, adjust: Callable[[], None], lives: Callable[[Replica], bool]) -> None:
        """Take who starts and ends processes. Called once, before anything runs."""
        self._adjust, self._lives = adjust, lives

    def settle(self, residing: Residing) -> None:
        """Go by another file; the fleet has its replicas already. What runs stays."""
        self.reception.residing = residing
        now_s = self._clock()
        for tenant in self._tenants.change(residing.residences, self._fleet, self._lives, now_s):
            self._moves_in(tenant)
        for tenant in self.pulling():
            if tenant.has_come:
                self.not_pulled(tenant, _NOT_TAKEN)
        for tenant in self._tenants:
            for replica in tenant.replicas:
                replica.on_idle = self._idle_now(tenant)
        self._rule_out()
        for model in self._tenants.models:
            self._fleet.counts_waits(model)
        self._metrics.show(self.figures, residing.rules.budget)
        if self._started:
            self.look_soon()

    def start(self) -> None:
        """Load what is to be there from the start; on the running loop."""
        self._started = True
        self.look_soon()

    def unit_of(self, replica: Replica) -> Residence | None:
        """Return the unit that a replica belongs to, None where it is loaded all the time."""
        tenant = self._tenants.of(replica)
        return None if tenant is None else tenant.residence

    def takes(self, residence: Residence, needs: Mapping[str, int]) -> None:
        """Go from now on by what a unit's processes were measured to need."""
        tenant = self._tenants.by_name.get(residence.unit.name)
        if tenant is None or tenant.residence is not residence:
            return  # another file is in force
        unit = replace(residence.unit, needs=dict(needs), measured=True)
        tenant.residence = replace(residence, unit=unit)
        self._rule_out()
        self.look_soon()

    def _moves_in(self, tenant: Tenant) -> None:
        """Take a unit that is new here; its processes may run already."""
        now_s = self._clock()
        known_s = self._times.known_s(tenant.residence.mark)
        tenant.load_s = tenant.load_s if known_s is None else known_s
        problem = next((r.plan.problem for r in tenant.replicas if r.plan.problem), None)
        if problem is not None:
            tenant.never(problem)
        elif tenant.absent:
            tenant.state = State.ABSENT
            self._tell(tenant, Condition.ABSENT, _PULLED_ON_DEMAND)
        elif any(map(self._lives, tenant.replicas)):
            tenant.turn(Event.LOAD, now_s)
            if any(replica.ready for replica in tenant.replicas):
                tenant.turn(Event.LOADED, now_s)
        else:
            self._tell(tenant, Condition.STOPPED, ON_DEMAND)

    def _idle_now(self, tenant: Tenant) -> Callable[[], None]:
        def idle() -> None:
            tenant.last_used_s = self._clock()
            keep_s = tenant.residence.unit.keep_alive_s
            if any(one.waiting or one.wanted for one in self._tenants):
                self.look_soon()
            elif keep_s is not None:
                self._alarm.within(keep_s)

        return idle

    def _rule_out(self) -> None:
        """Say of each unit that is not in memory whether it can ever be loaded."""
        units = {tenant.name: tenant.residence.unit for tenant in self._tenants}
        why = hopeless(self.reception.residing.rules, units)
        for tenant in self._tenants:
            name = tenant.name
            if name in why and not tenant.state.occupies:
                tenant.never(why[name])
                _log.error("%s can never be loaded: %s", name, why[name])
                self._tell(tenant, Condition.FAILED, why[name])
            elif tenant.rests_until_s == math.inf and not any(
                replica.plan.problem for replica in tenant.replicas
            ):
                tenant.state, tenant.rests_until_s, tenant.reason = State.STOPPED, -math.inf, ""
                self._tell(tenant, Condition.STOPPED, ON_DEMAND)

    def runs(self, replica: Replica) -> bool:
        """Say whether a replica's process is to be there."""
        tenant = self._tenants.of(replica)
        return tenant is None or tenant.runs

    def look_soon(self) -> None:
        """Ask the planner before the loop goes on to anything else that waits."""
        if self._tenants:
            self._alarm.soon()

    def look(self) -> None:
        """Ask the planner, and do what it says."""
        self._alarm.rung()
        now_s, hold, everybody = self._clock(), self.reception.hold, self._tenants.by_name
        units = {
            name: one.residence.unit if one.name == name else replace(one.residence.unit, name=name)
            for name, one in everybody.items()
        }
        standings = {
            name: tenant.standing(self._queued(tenant), held=name in hold)
            for name, tenant in everybody.items()
        }
        plan = decide(self.reception.residing.rules, units, standings, now_s)
        self._acting = True
        try:
            self._act(plan, now_s)
        finally:
            self._acting = False
        self._alarm.within(plan.look_at_s - now_s)

    def _act(self, plan: Plan, now_s: float) -> None:
        for name in plan.unload:
            self._unload(self._tenants[name], now_s, for_room=self._any_claim())
        for name in plan.load:
            tenant = self._tenants[name]
            tenant.turn(Event.LOAD, now_s)
            self._tell(tenant, Condition.STARTING, "")
            self._metrics.load(name)
        for name in plan.pull:
            tenant = self._tenants[name]
            tenant.turn(Event.PULL, now_s)
            self._tell(tenant, Condition.PULLING, "")
            self._metrics.pull(name)
        let_in = self.reception.hold.keys() - plan.hold.keys()
        self.reception.hold = plan.hold
        self._fleet.hold(
            {
                model: plan.hold[tenant.name]
                for model, tenant in self._tenants.models.items()
                if tenant.name in plan.hold
            }
        )
        if let_in:
            self._fleet.wake()
        if plan.load or plan.unload or plan.pull:
            self._adjust()

    def _any_claim(self) -> bool:
        return any(one.waiting and not one.runs for one in self._tenants)

    def _unload(self, tenant: Tenant, now_s: float, *, for_room: bool) -> None:
        tenant.turn(Event.UNLOAD, now_s)
        why = "its room is needed" if for_room else "it has been idle for long enough"
        _log.info("%s leaves memory: %s", tenant.name, why)
        self._metrics.unload(tenant.name, for_room=for_room)
        self._end(tenant)

    def _end(self, tenant: Tenant) -> None:
        """Have a unit's processes ended; where there is none it has ended already."""
        self._tell(tenant, Condition.DRAINING, tenant.reason)
        if not any(map(self._lives, tenant.replicas)):
            self._ended(tenant)

    def _tell(self, tenant: Tenant, condition: Condition, reason: str) -> None:
        acting, self._acting = self._acting, True
        for replica in tenant.replicas:
            if replica.plan.problem is None:
                self._fleet.update(replica, condition, reason)
        self._acting = acting

    def _noticed(self, replica: Replica) -> None:
        """Take a replica's new condition."""
        tenant = self._tenants.of(replica)
        if tenant is None or self._acting:
            return
        now_s = self._clock()
        ready = any(one.ready for one in tenant.replicas)
        if tenant.state is State.READY and not ready:
            tenant.turn(Event.DIED, now_s)
            if replica.condition is not Condition.FAILED:
                self.look()
                return
        if tenant.state is not State.LOADING:
            return
        if ready:
            self._loaded(tenant, now_s)
        elif replica.condition in (Condition.BACKING_OFF, Condition.FAILED):
            for_good = replica.condition is Condition.FAILED
            tenant.broke(replica.reason, now_s, for_good=for_good)
            rest_s = tenant.rests_until_s - now_s
            _log.warning("%s could not be loaded; it is left alone for %g s", tenant.name, rest_s)
            self._metrics.failure(tenant.name)
            self._end(tenant)
            self._adjust()
        else:
            return
        self.look()

    def _loaded(self, tenant: Tenant, now_s: float) -> None:
        tenant.turn(Event.LOADED, now_s)
        if tenant.loading_since_s is not None:
            self._metrics.loaded(tenant.name, tenant.load_s)
            self._times.learn(tenant.residence.mark, tenant.load_s)

    def ended(self, replica: Replica) -> None:
        """Take that a replica's process has gone, and its memory with it."""
        tenant = self._tenants.of(replica)
        if tenant is None or tenant.state is not State.DRAINING:
            return
        if not any(map(self._lives, tenant.replicas)):
            self._ended(tenant)
            self.look()

    def _ended(self, tenant: Tenant) -> None:
        if self._tenants.has_left(tenant):
            return
        tenant.ended(self._clock())
        self._rule_out()
        failed = tenant.state is State.FAILED
        condition = Condition.FAILED if failed else Condition.STOPPED
        self._tell(tenant, condition, tenant.reason if failed else ON_DEMAND)
        self._fleet.wake()
        self.look_soon()

    def pulling(self) -> Iterable[Tenant]:
        """Return the units whose weights are to be pulled now."""
        return [tenant for tenant in self._tenants if tenant.state is State.PULLING]

    def progressed(self, tenant: Tenant, here_bytes: int, size_bytes: int | None) -> None:
        """Take how far a pull is."""
        if tenant.coming is not None:
            tenant.coming.reaches(here_bytes, size_bytes)
            self._tell(tenant, Condition.PULLING, tenant.coming.in_words())

    def pulled(self, tenant: Tenant) -> None:
        """Take that weights are here; the unit is another one from then on, with known needs."""
        _log.info("%s: its weights are here", tenant.name)
        tenant.has_come = True
        self.on_pulled()

    def not_pulled(self, tenant: Tenant, reason: str) -> None:
        """Take that weights did not come."""
        if tenant.state is not State.PULLING:
            return
        now_s = self._clock()
        tenant.not_pulled(reason, now_s)
        rest_s = tenant.rests_until_s - now_s
        _log.warning("%s: %s; it is left alone for %g s", tenant.name, reason, rest_s)
        self._metrics.pull_failure(tenant.name)
        self._tell(tenant, Condition.FAILED, reason)
        self._fleet.wake()
        self._adjust()
        self.look_soon()

    def _queued(self, tenant: Tenant) -> Iterable[float]:
        """Yield since when requests wait for a place at a unit's models."""
        for model in tenant.residence.models:
            queue = self._fleet.queue(model)
            if queue is not None:
                yield from queue.since()

    def figures(self) -> Iterable[UnitFigures]:
        """Return what a scrape shows of each unit."""
        everybody = self._tenants.by_name.values()
        return [UnitFigures(t.name, t.state, t.residence.unit.needs, t.coming) for t in everybody]

    def close(self) -> None:
        """Ask the planner no more."""
        self._alarm.off()
        self._tenants.clear()
