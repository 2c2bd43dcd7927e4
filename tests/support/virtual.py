"""Units and their requests in virtual time: under the planner, and in the order of arrival."""

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engines.residency import Event, Plan, Rules, Standing, State, Unit, decide, step
from engines.residency.room import Room


@dataclass(frozen=True)
class Arrival:
    """One request: when it comes, for which unit, and how long it runs once admitted."""

    at_s: float
    unit: str
    runs_s: float


@dataclass(frozen=True)
class World:
    """What there is: units, how long each takes to load and to end, how many run at once."""

    rules: Rules
    units: Mapping[str, Unit]
    load_s: float = 3.0
    end_s: float = 0.5
    wake_s: float = 0.25
    places: int = 4


@dataclass
class Job:
    """A request under way."""

    arrival: Arrival
    number: int
    admitted_s: float | None = None
    ended_s: float | None = None

    @property
    def since_s(self) -> float:
        return self.arrival.at_s


@dataclass
class Moment:
    """What holds while somebody is admitted: for properties."""

    now_s: float
    job: Job
    waiting: Sequence[Job]
    here: Sequence[str]


class Simulation:
    """The planner acting on a world; every decision is made at once and costs no time."""

    def __init__(self, world: World, arrivals: Sequence[Arrival]) -> None:
        self.world = world
        self.standings = {name: Standing(load_s=world.load_s) for name in world.units}
        self.jobs = [Job(arrival, number) for number, arrival in enumerate(arrivals)]
        self.waiting: dict[str, list[Job]] = {name: [] for name in world.units}
        self.running: dict[str, int] = dict.fromkeys(world.units, 0)
        self.loads = self.wakes = 0
        self.now_s = 0.0
        self.admissions: list[Moment] = []
        self.most: dict[str, int] = {}
        self.hold: Mapping[str, float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        for job in self.jobs:
            self._at(job.since_s, lambda job=job: self._arrive(job))  # type: ignore[misc]

    def run(self) -> None:
        while self._events:
            at_s, _, happen = heapq.heappop(self._events)
            assert at_s >= self.now_s
            self.now_s = at_s
            happen()
            self._go_on()
            assert self._count < 200_000, "it never ends"

    def _at(self, at_s: float, happen: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (at_s, self._count, happen))

    def _arrive(self, job: Job) -> None:
        self.waiting[job.arrival.unit].append(job)
        self._admit(job.arrival.unit)

    def _go_on(self) -> None:
        while True:
            plan = self._plan()
            self.hold = plan.hold
            admitted = [self._admit(name) for name in self.world.units]
            self._measure()
            if not (plan.load or plan.unload or plan.sleep or any(admitted)):
                break
        if plan.look_at_s < math.inf:
            assert plan.look_at_s > self.now_s, "it would look again at once, for ever"
            self._at(plan.look_at_s, lambda: None)

    def _plan(self) -> Plan:
        seen = {
            name: replace(
                one,
                running=self.running[name],
                waiting=tuple(job.since_s for job in self.waiting[name]),
                held=name in self.hold,
            )
            for name, one in self.standings.items()
        }
        plan = decide(self.world.rules, self.world.units, seen, self.now_s)
        for name in plan.unload:
            assert not self.running[name], "a busy model was evicted"
            assert not self.world.units[name].pinned, "a pinned model was evicted"
            dormant = self.standings[name].state is State.SLEEPING
            self._turn(name, Event.UNLOAD)
            self.standings[name] = replace(self.standings[name], dormant=dormant)
            self._at(self.now_s + self.world.end_s, lambda n=name: self._turn(n, Event.ENDED))  # type: ignore[misc]
        for name in plan.sleep:
            assert not self.running[name], "a busy model was put to sleep"
            assert self.world.units[name].asleep is not None
            self._turn(name, Event.UNLOAD)
            self.standings[name] = replace(self.standings[name], drowsy=True)
            self._at(self.now_s + self.world.end_s, lambda n=name: self._turn(n, Event.SLEPT))  # type: ignore[misc]
        for name in plan.load:
            wakes = self.standings[name].state is State.SLEEPING
            self._turn(name, Event.LOAD)
            self.loads += not wakes
            self.wakes += wakes
            takes_s = self.world.wake_s if wakes else self.world.load_s
            self._at(self.now_s + takes_s, lambda n=name: self._turn(n, Event.LOADED))  # type: ignore[misc]
        return plan

    def _turn(self, name: str, event: Event) -> None:
        one = self.standings[name]
        used_s = self.now_s if event is Event.LOADED else one.last_used_s
        self.standings[name] = replace(
            one,
            state=step(one.state, event),
            since_s=self.now_s,
            last_used_s=used_s,
            drowsy=False,
            dormant=False,
        )

    def _admit(self, name: str) -> bool:
        any_came, waiting = False, self.waiting[name]
        while (
            waiting
            and self.standings[name].state is State.READY
            and self.running[name] < self.world.places
            and waiting[0].since_s < self.hold.get(name, math.inf)
        ):
            job = waiting.pop(0)
            job.admitted_s, any_came = self.now_s, True
            self.running[name] += 1
            others = [one for jobs in self.waiting.values() for one in jobs]
            self.admissions.append(Moment(self.now_s, job, others, self._here()))
            self._at(self.now_s + job.arrival.runs_s, lambda job=job: self._end(job))  # type: ignore[misc]
        return any_came

    def _end(self, job: Job) -> None:
        name = job.arrival.unit
        job.ended_s = self.now_s
        self.running[name] -= 1
        self.standings[name] = replace(self.standings[name], last_used_s=self.now_s)

    def _taken(self, name: str) -> Mapping[str, int]:
        unit, one = self.world.units[name], self.standings[name]
        return (unit.asleep or {}) if one.state is State.SLEEPING or one.dormant else unit.needs

    def _here(self) -> list[str]:
        return [name for name, one in self.standings.items() if one.state.occupies]

    def _measure(self) -> None:
        here = self._here()
        for device in self.world.rules.budget:
            used = sum(self._taken(name).get(device, 0) for name in here)
            self.most[device] = max(used, self.most.get(device, 0))
        for one in here:
            assert not self.world.units[one].excludes.intersection(here)


@dataclass
class _Line:
    """Who is in memory while all are served strictly in the order of arrival."""

    here: list[str] = field(default_factory=list)  # the one that was used longest ago first
    free_s: dict[str, float] = field(default_factory=dict)  # when the last request of it is over
    places: dict[str, list[float]] = field(default_factory=dict)


def loads_in_order(world: World, arrivals: Sequence[Arrival]) -> int:
    """Return how many loads it takes to admit everybody strictly in the order of arrival.

    Who is at the head waits for a place, or for the load of its model, for which the models that
    were used longest ago leave as soon as they are idle; everybody behind waits as well.
    """
    line, now_s, loads = _Line(), 0.0, 0
    room = Room(world.rules.budget, world.units, ())
    for arrival in arrivals:
        name, now_s = arrival.unit, max(now_s, arrival.at_s)
        if name not in line.here:
            loads += 1
            while not room.fits(name, line.here):
                leaves = next(one for one in line.here if not world.units[one].pinned)
                line.here.remove(leaves)
                now_s = max(now_s, line.free_s.get(leaves, 0.0) + world.end_s)
            now_s += world.load_s
            line.places[name] = []
        else:
            line.here.remove(name)
        line.here.append(name)
        ends = sorted(end_s for end_s in line.places[name] if end_s > now_s)
        if len(ends) >= world.places:
            now_s = ends[len(ends) - world.places]
            ends = [end_s for end_s in ends if end_s > now_s]
        line.places[name] = [*ends, now_s + arrival.runs_s]
        line.free_s[name] = max(line.places[name])
    return loads
