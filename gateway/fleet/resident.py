"""Who is in memory: the planner's decisions carried out on replicas, and who waits for them.

Owns: the units' states, when the planner is asked, the hold on admission.
Must not: decide who is loaded (`engines.residency` does); start or end processes
(`gateway.fleet.care` does, for those that `runs` names).

It is asked synchronously whenever something happens, and a timer asks when the plan says so. A
process counts from the moment its start is decided until it has ended.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from engines.residency import Event, Plan, State, Unit, decide, hopeless
from gateway.fleet.fleet import Fleet
from gateway.fleet.learned import LoadTimes
from gateway.fleet.replica import Condition, Replica
from gateway.fleet.residence import Residence, Residing
from gateway.fleet.tenant import Tenant
from gateway.observe.residency import ResidencyMetrics, UnitFigures

_log = logging.getLogger("weighbridge.engine")

ON_DEMAND = "it is loaded when somebody asks for it"
_MOST_WAITING = 1_024


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
        self.residing = Residing()
        self._tenants: dict[str, Tenant] = {}
        self._of_model: dict[str, Tenant] = {}
        self._of_replica: dict[Replica, Tenant] = {}
        self._leaving: dict[str, Tenant] = {}  # of a file that is no more in force
        self._units: dict[str, Unit] = {}
        self._hold: Mapping[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._acting = self._started = False
        fleet.on_update = self._noticed
        fleet.coming = self.coming_s

    def serve(self, adjust: Callable[[], None], lives: Callable[[Replica], bool]) -> None:
        """Take who starts and ends processes. Called once, before anything runs."""
        self._adjust, self._lives = adjust, lives

    @property
    def active(self) -> bool:
        """Whether any model may be absent from memory."""
        return bool(self._tenants)

    def settle(self, residing: Residing) -> None:
        """Go by another file; the fleet has its replicas already. What runs stays."""
        now_s, before = self._clock(), self._tenants
        self.residing, self._tenants = residing, {}
        for residence in residing.residences:
            models = set(residence.models)
            mine = [r for r in self._fleet if r.plan.model in models and r.plan.launch is not None]
            old = before.get(residence.unit.name)
            if old is not None and set(old.replicas) & set(mine):
                del before[residence.unit.name]
                old.residence, old.replicas, tenant = residence, tuple(mine), old
            else:
                tenant = self._moves_in(Tenant(residence, mine, now_s))
            self._tenants[tenant.name] = tenant
        for tenant in before.values():
            self._moves_out(tenant)
        self._of_model = {
            name: tenant
            for tenant in self._tenants.values()
            for replica in tenant.replicas
            for name in replica.plan.served
        }
        self._index()
        self._units = {name: one.residence.unit for name, one in self._tenants.items()}
        self._rule_out(hopeless(residing.rules, self._units))
        for model in self._of_model:
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
        tenant = self._of_replica.get(replica)
        return None if tenant is None else tenant.residence

    def takes(self, residence: Residence, needs: Mapping[str, int]) -> None:
        """Go from now on by what a unit's processes were measured to need."""
        tenant = self._tenants.get(residence.unit.name)
        if tenant is None or tenant.residence is not residence:
            return  # another file is in force
        unit = replace(residence.unit, needs=dict(needs), measured=True)
        tenant.residence = replace(residence, unit=unit)
        self._units[unit.name] = unit
        self._rule_out(hopeless(self.residing.rules, self._units))
        self.look_soon()

    def _moves_in(self, tenant: Tenant) -> Tenant:
        """Take a unit that is new here; its processes may run already."""
        now_s = self._clock()
        known_s = self._times.known_s(tenant.residence.mark)
        tenant.load_s = tenant.load_s if known_s is None else known_s
        problem = next((r.plan.problem for r in tenant.replicas if r.plan.problem), None)
        if problem is not None:
            tenant.never(problem)
        elif any(map(self._lives, tenant.replicas)):
            tenant.turn(Event.LOAD, now_s)
            if any(replica.ready for replica in tenant.replicas):
                tenant.turn(Event.LOADED, now_s)
        else:
            self._tell(tenant, Condition.STOPPED, ON_DEMAND)
        return tenant

    def _moves_out(self, tenant: Tenant) -> None:
        """Forget a unit, but for the memory of processes that have not ended."""
        for replica in tenant.replicas:
            replica.on_idle = None
        ending = tuple(r for r in tenant.replicas if r not in self._fleet_now() and self._lives(r))
        if tenant.state.occupies and ending:
            tenant.replicas, tenant.waiting = ending, []
            tenant.state = State.DRAINING
            self._leaving[f"{tenant.name} {id(tenant)}"] = tenant

    def _fleet_now(self) -> set[Replica]:
        return set(self._fleet)

    def _index(self) -> None:
        everybody = (*self._tenants.values(), *self._leaving.values())
        self._of_replica = {replica: one for one in everybody for replica in one.replicas}
        for tenant in self._tenants.values():
            for replica in tenant.replicas:
                replica.on_idle = self._idle_now(tenant)

    def _idle_now(self, tenant: Tenant) -> Callable[[], None]:
        def idle() -> None:
            tenant.last_used_s = self._clock()
            keep_s = tenant.residence.unit.keep_alive_s
            if self._pressing():
                self.look_soon()
            elif keep_s is not None:
                self._look_at(tenant.last_used_s + keep_s, tenant.last_used_s)

        return idle

    def _pressing(self) -> bool:
        return any(one.waiting or one.wanted for one in self._tenants.values())

    def _rule_out(self, why: Mapping[str, str]) -> None:
        for name, tenant in self._tenants.items():
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
        tenant = self._of_replica.get(replica)
        return tenant is None or tenant.runs

    def state_of(self, model: str) -> tuple[str, str] | None:
        """Return a model's state and the reason for it, None where it is loaded all the time."""
        tenant = self._of_model.get(model)
        return None if tenant is None else (tenant.state.value, tenant.reason)

    def coming_s(self, model: str) -> float | None:
        """Return about how soon a model serves that may be waited for, else None."""
        tenant, now_s = self._of_model.get(model), self._clock()
        return tenant.ready_in_s(now_s) if tenant is not None and tenant.comes(now_s) else None

    def comes(self, model: str, since_s: float) -> bool:
        """Say whether a request that has waited `since_s` is to wait for a load, or its turn."""
        tenant = self._of_model.get(model)
        if tenant is None or not tenant.comes(self._clock()):
            return False
        if tenant.state is State.READY:
            return since_s >= self._hold.get(tenant.name, math.inf)
        return True

    def full(self, model: str) -> bool:
        """Say whether as many requests wait for a model to be loaded as may."""
        tenant = self._of_model[model]
        return len(tenant.waiting) >= self.residing.most_waiting.get(model, _MOST_WAITING)

    def retry_after_s(self, models: Iterable[str]) -> float | None:
        """Return how soon it is worth to ask for one of these models again, None if never."""
        now_s = self._clock()
        tenants = [self._of_model[model] for model in models if model in self._of_model]
        known = [soon_s for one in tenants if (soon_s := one.retry_in_s(now_s)) is not None]
        return max(1.0, min(known)) if known else None

    def join(self, model: str, since_s: float) -> Tenant:
        """Let a request wait for a model; `leave` ends that."""
        tenant = self._of_model[model]
        tenant.join(since_s)
        self.look_soon()
        return tenant

    def leave(self, tenant: Tenant, since_s: float) -> None:
        """End a request's wait, whatever came of it. Its load goes on."""
        tenant.leave(since_s)
        self.look_soon()

    def look_soon(self) -> None:
        """Ask the planner before the loop goes on to anything else that waits."""
        if self._soon is None and self.active:
            self._soon = asyncio.get_running_loop().call_soon(self.look)

    def look(self) -> None:
        """Ask the planner, and do what it says."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        now_s = self._clock()
        units = self._units | {
            n: replace(t.residence.unit, name=n) for n, t in self._leaving.items()
        }
        standings = {
            name: tenant.standing(self._queued(tenant), held=name in self._hold)
            for name, tenant in (self._tenants | self._leaving).items()
        }
        plan = decide(self.residing.rules, units, standings, now_s)
        self._acting = True
        try:
            self._act(plan, now_s)
        finally:
            self._acting = False
        self._look_at(plan.look_at_s, now_s)

    def _act(self, plan: Plan, now_s: float) -> None:
        for name in plan.unload:
            self._unload(self._tenants[name], now_s, for_room=any(self._claims()))
        for name in plan.load:
            tenant = self._tenants[name]
            tenant.turn(Event.LOAD, now_s)
            self._tell(tenant, Condition.STARTING, "")
            self._metrics.load(name)
        let_in = self._hold.keys() - plan.hold.keys()
        self._hold = plan.hold
        self._fleet.hold(
            {
                model: plan.hold[tenant.name]
                for model, tenant in self._of_model.items()
                if tenant.name in plan.hold
            }
        )
        if let_in:
            self._fleet.wake()
        if plan.load or plan.unload:
            self._adjust()

    def _claims(self) -> Iterable[bool]:
        return (bool(one.waiting) and not one.runs for one in self._tenants.values())

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
        tenant = self._of_replica.get(replica)
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
        tenant = self._of_replica.get(replica)
        if tenant is None or tenant.state is not State.DRAINING:
            return
        if not any(map(self._lives, tenant.replicas)):
            self._ended(tenant)
            self.look()

    def _ended(self, tenant: Tenant) -> None:
        key = f"{tenant.name} {id(tenant)}"
        if self._leaving.pop(key, None) is not None:
            self._index()
            return
        tenant.ended(self._clock())
        self._rule_out(hopeless(self.residing.rules, self._units))
        failed = tenant.state is State.FAILED
        condition = Condition.FAILED if failed else Condition.STOPPED
        self._tell(tenant, condition, tenant.reason if failed else ON_DEMAND)
        self._fleet.wake()
        self.look_soon()

    def _queued(self, tenant: Tenant) -> Iterable[float]:
        """Yield since when requests wait for a place at a unit's models."""
        for model in tenant.residence.models:
            queue = self._fleet.queue(model)
            if queue is not None:
                yield from queue.since()

    def _look_at(self, at_s: float, now_s: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= asyncio.get_running_loop().time() + (at_s - now_s):
                return
            self._timer.cancel()
            self._timer = None
        if at_s < math.inf:
            delay_s = max(0.0, at_s - now_s)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self.look()

    def figures(self) -> Iterable[UnitFigures]:
        """Return what a scrape shows of each unit."""
        everybody = (*self._tenants.values(), *self._leaving.values())
        return [UnitFigures(t.name, t.state, t.residence.unit.needs) for t in everybody]

    def close(self) -> None:
        """Ask the planner no more."""
        for timer in (self._timer, self._soon):
            if timer is not None:
                timer.cancel()
        self._tenants, self._of_model, self._of_replica = {}, {}, {}
