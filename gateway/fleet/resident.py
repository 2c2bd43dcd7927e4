"""Who is in memory: the planner is asked whenever something happens, and its decisions carried out.

Owns: when the planner is asked, what it is told, the hold on admission.
Must not: decide who is loaded (`engines.residency` does); start or end processes
(`gateway.fleet.care` does, for those that `runs` names); answer requests
(`gateway.fleet.reception` does).

It is asked synchronously whenever something happens, and a timer asks when the plan says so. A
process counts from the moment its start is decided until it has ended.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from engines.residency import Event, Plan, State, decide
from gateway.fleet.alarm import Alarm
from gateway.fleet.fleet import Fleet
from gateway.fleet.learned import LoadTimes
from gateway.fleet.reception import Reception
from gateway.fleet.replica import Condition, Replica
from gateway.fleet.residence import Residence, Residing
from gateway.fleet.tenant import Tenant
from gateway.fleet.tenants import Tenants
from gateway.fleet.turning import Turns, dozes
from gateway.observe.residency import Leaving, ResidencyMetrics, UnitFigures

_NOT_TAKEN = "its weights were fetched, but its engine does not find what it takes among them"


class Resident:
    """Mutable; used from the event loop's thread only. Without units it lets everything run."""

    def __init__(
        self,
        fleet: Fleet,
        metrics: ResidencyMetrics,
        times: LoadTimes,
        clock: Callable[[], float],
    ) -> None:
        self._fleet = fleet
        self._metrics = metrics
        self._clock = clock
        self._tenants = Tenants()
        self.turns = Turns(fleet, self._tenants, metrics, times, clock)
        self.turns.look_soon = self.look_soon
        self.reception = Reception(self._tenants, clock, self.look_soon)
        self._alarm = Alarm(self.look)
        self._started = False
        # Nobody would wake them: their processes end, and start anew.
        self._anew: set[Replica] = set()
        # Called when weights are here: whoever knows the file has to say what they are.
        self.on_pulled: Callable[[], None] = lambda: None
        fleet.on_update = self._noticed
        fleet.coming = self.reception.coming_s

    def serve(self, adjust: Callable[[], None], lives: Callable[[Replica], bool]) -> None:
        """Take who starts and ends processes. Called once, before anything runs."""
        self.turns.adjust, self.turns.lives = adjust, lives

    @property
    def tenants(self) -> Iterable[Tenant]:
        """The units of the file in force."""
        return self._tenants

    def settle(self, residing: Residing) -> None:
        """Go by another file; the fleet has its replicas already. What runs stays."""
        self.reception.residing = residing
        units, lives = residing.residences, self.turns.lives
        for tenant in self._tenants.change(units, self._fleet, lives, self._clock()):
            self.turns.moves_in(tenant)
        self.not_taken(_NOT_TAKEN)
        for tenant in self._tenants:
            for replica in tenant.replicas:
                replica.on_idle = self._idle_now(tenant)
        self._leave_alone([one for one in self._fleet if self._tenants.of(one) is None])
        self._rule_out()
        for model in self._tenants.models:
            self._fleet.counts_waits(model)
        self._metrics.show(self.figures, residing.rules.budget)
        if self._started:
            self._alarm.soon()  # without units, too: nobody may be held any more

    def not_taken(self, why: str) -> None:
        """Have those fail whose weights have come, and to no avail."""
        for tenant in self._tenants:
            if tenant.has_come:
                self.turns.not_pulled(tenant, why)

    def _leave_alone(self, replicas: Iterable[Replica]) -> None:
        """Have replicas that no unit has there all the time, though they may have slept."""
        self._anew.clear()
        for replica in replicas:
            if not self.turns.lives(replica):
                if replica.condition is Condition.STOPPED:  # whoever waits for it may go on so
                    self._fleet.update(replica, Condition.STARTING)
            elif dozes(replica):
                self._anew.add(replica)

    def start(self) -> None:
        """Load what is to be there from the start; on the running loop."""
        self._started = True
        self.look_soon()

    def unit_named(self, model: str) -> Tenant | None:
        """Return the unit of a model, None where it is loaded all the time."""
        return self._tenants.models.get(model)

    def let_go(self, tenant: Tenant) -> None:
        """Have a unit leave memory because somebody says so; requests that it has end first."""
        tenant.wanted = False
        if tenant.state in (State.LOADING, State.READY, State.SLEEPING):
            self.turns.unload(tenant, Leaving.ASKED)
        elif tenant.drowsy:
            tenant.drowsy = False
            self.turns.end(tenant)

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

    def _idle_now(self, tenant: Tenant) -> Callable[[], None]:
        def idle() -> None:
            tenant.last_used_s = self._clock()
            keep_s = tenant.residence.unit.keep_alive_s
            if any(one.waiting or one.wanted for one in self._tenants):
                self.look_soon()
            elif keep_s is not None:
                self._alarm.within(keep_s)

        return idle

    def runs(self, replica: Replica) -> bool:
        """Say whether a replica's process is to be there."""
        tenant = self._tenants.of(replica)
        return replica not in self._anew if tenant is None else tenant.runs

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
        self.turns.busy = True
        try:
            self._act(plan, now_s)
        finally:
            self.turns.busy = False
        self._alarm.within(plan.look_at_s - now_s)

    def _act(self, plan: Plan, now_s: float) -> None:
        why = Leaving.ROOM if self._any_claim() else Leaving.IDLE
        for name in plan.unload:
            self.turns.unload(self._tenants[name], why)
        for name in plan.sleep:
            self.turns.drowse(self._tenants[name], now_s)
        for name in plan.load:
            self.turns.load(self._tenants[name], now_s)
        for name in plan.pull:
            self.turns.pull(self._tenants[name], now_s)
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
        if plan.load or plan.unload or plan.sleep or plan.pull:
            self.turns.adjust()

    def _any_claim(self) -> bool:
        return any(one.waiting and not one.runs for one in self._tenants)

    def _noticed(self, replica: Replica) -> None:
        """Take a replica's new condition."""
        tenant = self._tenants.of(replica)
        if tenant is None or self.turns.busy:
            return
        now_s = self._clock()
        ready = any(one.ready for one in tenant.replicas)
        if tenant.state is State.READY and not ready:
            tenant.turn(Event.DIED, now_s)
            if replica.condition is not Condition.FAILED:
                self.look()
                return
        if tenant.state is State.SLEEPING and replica.condition is not Condition.SLEEPING:
            tenant.turn(Event.DIED, now_s)
            self.turns.end(tenant)
        if tenant.state is not State.LOADING:
            return
        if ready:
            self.turns.loaded(tenant, now_s)
        elif replica.condition in (Condition.BACKING_OFF, Condition.FAILED):
            for_good = replica.condition is Condition.FAILED
            self.turns.broke(tenant, replica.reason, for_good=for_good)
        else:
            return
        self.look()

    def ended(self, replica: Replica) -> None:
        """Take that a replica's process has gone, and its memory with it."""
        self._anew.discard(replica)
        tenant = self._tenants.of(replica)
        if tenant is None or tenant.state is not State.DRAINING:
            return
        if not any(map(self.turns.lives, tenant.replicas)):
            self.turns.ended(tenant)
            self._rule_out()
            self.look()

    def _rule_out(self) -> None:
        self.turns.rule_out(self.reception.residing.rules)

    def _queued(self, tenant: Tenant) -> Iterable[float]:
        """Yield since when requests wait for a place at a unit's models."""
        for model in tenant.residence.models:
            queue = self._fleet.queue(model)
            if queue is not None:
                yield from queue.since()

    def figures(self) -> Iterable[UnitFigures]:
        """Return what a scrape shows of each unit."""
        everybody = self._tenants.by_name.values()
        return [
            UnitFigures(t.name, t.state, unit.needs, t.coming, unit.asleep or {}, t.dormant)
            for t, unit in ((one, one.residence.unit) for one in everybody)
        ]

    def close(self) -> None:
        """Ask the planner no more."""
        self._alarm.off()
        self._tenants.clear()
