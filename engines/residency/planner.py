"""Who is loaded and who leaves: one decision from everything that is known at a moment.

Owns: the order of claims, who makes room, who is held.
Must not: remember anything; read a clock; act.

A claim is a unit that is not in memory and that requests wait for; claims are served by the age of
their oldest request. Where there is room, it is loaded. Else idle units leave: first what was used
longest ago for how long it takes to load again; who can sleep does so where that makes room enough.
While only busy ones are left, the claim waits, and they go on: so requests are batched by model.
Once its oldest request has waited for the bound, who is in its way is held: whoever has waited for
longer is still admitted there, and nobody else; when all of those are over, it leaves.

So of two units that exclude each other each load serves at least one whole run of requests of one
model in the order of arrival, and there are never more loads than in that order.
"""

import math
from collections.abc import Iterable, Mapping

from engines.residency.room import Room, why_never
from engines.residency.states import State
from engines.residency.units import Plan, Rules, Standing, Unit

# A claim may be of what is in memory no more, or not yet.
_CLAIMABLE = (State.STOPPED, State.FAILED, State.DRAINING, State.SLEEPING)


def decide(
    rules: Rules, units: Mapping[str, Unit], standings: Mapping[str, Standing], now_s: float
) -> Plan:
    """Return what to do now. Units have a standing each; the order of `units` breaks ties."""
    return _Deciding(rules, units, standings, now_s).plan()


def hopeless(rules: Rules, units: Mapping[str, Unit]) -> dict[str, str]:
    """Return the units that can never be loaded, and why, for people."""
    room = Room(rules.budget, units, ())
    found = {}
    for name, unit in units.items():
        pinned = [other for other in units.values() if other.pinned and other.name != name]
        why = why_never(unit, pinned, rules.budget)
        if why is None and any(room.exclude(name, other.name) for other in pinned):
            why = "it must not be in memory together with a model that is pinned"
        if why is not None:
            found[name] = why
    return found


class _Deciding:
    """The state of one decision. `here` occupies memory now, `stays` once all has happened.

    `now` and `room` are what there is of it at both times.
    """

    def __init__(
        self,
        rules: Rules,
        units: Mapping[str, Unit],
        standings: Mapping[str, Standing],
        now_s: float,
    ) -> None:
        self._bound_s = rules.swap_bound_s
        self._units = units
        self._standings = standings
        self._now_s = now_s
        asleep = [n for n, s in standings.items() if s.state is State.SLEEPING]
        drowsy = [n for n, s in standings.items() if s.state is State.DRAINING and s.drowsy]
        dormant = [n for n, s in standings.items() if s.state is State.DRAINING and s.dormant]
        # What is taken now, by those who are `here`, and once all has happened, by who `stays`.
        self._now = Room(rules.budget, units, [*asleep, *dormant], drowsy)
        self._room = Room(rules.budget, units, [*asleep, *drowsy])
        self._here = {name for name, one in standings.items() if one.state.occupies}
        ending = {n for n in self._here if standings[n].state is State.DRAINING}
        self._stays = self._here - ending.difference(drowsy)
        self._promised: set[str] = set()
        self._pending: list[str] = []
        self._load: list[str] = []
        self._unload: list[str] = []
        self._sleep: list[str] = []
        self._hold: dict[str, float] = {}
        self._look_at_s = math.inf

    def plan(self) -> Plan:
        for name in self._claims():
            self._settle(name)
        self._let_go()
        self._load_wanted()
        pull = tuple(name for name, one in self._standings.items() if self._pulls(one))
        return Plan(
            load=tuple(self._load),
            unload=tuple(self._unload),
            sleep=tuple(self._sleep),
            pull=pull,
            hold=self._hold,
            look_at_s=self._look_at_s,
        )

    def _pulls(self, one: Standing) -> bool:
        """Say whether weights are to be pulled now; they take no memory, so that nobody leaves."""
        absent = one.state is State.ABSENT or (one.state is State.FAILED and one.absent)
        return absent and bool(one.waiting or one.wanted) and self._rested(one)

    def _claims(self) -> list[str]:
        def claims(one: Standing) -> bool:
            if not one.waiting or one.state not in _CLAIMABLE or one.absent:
                return False
            return self._rested(one)

        found = [name for name in self._units if claims(self._standings[name])]
        return sorted(found, key=lambda name: self._standings[name].waiting[0])

    def _rested(self, one: Standing) -> bool:
        if one.state is not State.FAILED:
            return True
        if self._now_s < one.rests_until_s:
            self._look(one.rests_until_s)
            return False
        return True

    def _settle(self, name: str) -> None:
        """Give a claim its room, or see to it that it gets it."""
        jumps = self._jumps(name)
        if not jumps and self._room.fits(name, self._stays):
            self._promise(name)
            return
        victims = self._victims(name)
        if jumps or not victims or victims & self._promised:
            # An older claim has the room first; this one's turn comes after that.
            if self._overdue(name):
                self._keep_out(victims - self._promised, name)
            self._pending.append(name)
            return
        self._stays -= victims
        if all(self._idle(victim, name) for victim in victims):
            for victim in sorted(victims, key=list(self._units).index):
                self._leave(victim, name)
        else:
            self._keep_out(victims, name)
        self._room = self._room.with_awake(name)
        self._promised.add(name)
        self._stays.add(name)

    def _leave(self, name: str, claim: str | None) -> None:
        """Let a unit that is idle sleep where that is enough for a claim, else end."""
        now, room = self._now.with_drowsy(name), self._room.with_asleep(name)
        beside = {*self._stays, name}
        may = self._units[name].asleep is not None and self._standings[name].state is State.READY
        helps = room.holds(beside) if claim is None else room.fits(claim, beside)
        if may and helps and now.holds(self._here):
            self._sleep.append(name)
            self._now, self._room = now, room
            self._stays.add(name)
            self._promised.add(name)
        else:
            self._unload.append(name)

    def _keep_out(self, victims: Iterable[str], name: str) -> None:
        """Admit nobody to the victims who is younger than a claim."""
        oldest_s = self._oldest_s(name)
        for victim in victims:
            self._hold[victim] = min(self._hold.get(victim, math.inf), oldest_s)

    def _promise(self, name: str) -> None:
        free_now = self._now.fits(name, self._here)
        self._room = self._room.with_awake(name)
        self._stays.add(name)
        self._promised.add(name)
        if free_now and self._standings[name].state is not State.DRAINING:
            self._here.add(name)
            self._now = self._now.with_awake(name)
            self._load.append(name)

    def _jumps(self, name: str) -> bool:
        """Say whether loading it now could keep an older claim waiting beyond its bound."""
        ready_s = self._now_s + self._standings[name].load_s
        fixed = {n for n in self._stays if self._units[n].pinned} | {name}
        return any(
            ready_s > self._oldest_s(older) + self._bound_s and not self._room.fits(older, fixed)
            for older in self._pending
        )

    def _victims(self, name: str) -> set[str]:
        """Return who is to make room for a claim; none where it has to wait."""
        others = [other for other in self._stays if not self._units[other].pinned]
        idle = [o for o in others if o not in self._promised and self._idle(o, name)]
        found = self._fewest(name, sorted(idle, key=self._worth))
        if found or not self._overdue(name):
            return found
        return self._fewest(name, sorted(others, key=self._in_the_way))

    def _fewest(self, name: str, others: Iterable[str]) -> set[str]:
        """Return the first of the others that make enough room, without those that need not go."""
        leaving: list[str] = []
        for other in others:
            leaving.append(other)
            if self._room.fits(name, self._stays.difference(leaving)):
                break
        else:
            return set()
        for other in reversed(leaving):
            without = [one for one in leaving if one != other]
            if self._room.fits(name, self._stays.difference(without)):
                leaving = without
        return set(leaving)

    def _worth(self, name: str) -> float:
        """Return how much is lost with an idle unit: its load again, the less the longer unused."""
        one = self._standings[name]
        unused_s = self._now_s - max(one.last_used_s, one.since_s)
        return one.load_s / (unused_s + 0.001)

    def _in_the_way(self, name: str) -> tuple[bool, bool, bool, int, float]:
        """Order who has to leave: who is held already stays so, a load is not for nothing."""
        one = self._standings[name]
        promised, loading = name in self._promised, one.state is State.LOADING
        busy = one.running + len(one.waiting)
        return promised, loading, not one.held, busy, self._worth(name)

    def _idle(self, name: str, claim: str) -> bool:
        """Say whether a unit may leave at once for a claim."""
        one, oldest_s = self._standings[name], self._oldest_s(claim)
        if one.state not in (State.READY, State.SLEEPING) or one.running:
            return False
        if self._overdue(claim):
            return not one.waiting or one.waiting[0] >= oldest_s
        if one.waiting:
            return False
        free_s = one.since_s + self._units[name].min_resident_s
        if self._now_s < free_s:
            self._look(free_s)
            return False
        return True

    def _overdue(self, name: str) -> bool:
        due_s = self._oldest_s(name) + self._bound_s
        if self._now_s < due_s:
            self._look(due_s)
            return False
        return True

    def _let_go(self) -> None:
        """Let leave who has been idle for its keep-alive."""
        busy = {*self._hold, *self._promised}
        for name in sorted(self._stays - busy):
            one, unit = self._standings[name], self._units[name]
            if one.state is not State.READY or one.running or one.waiting or unit.pinned:
                continue
            if unit.keep_alive_s is None:
                continue
            ends_s = max(
                max(one.last_used_s, one.since_s) + unit.keep_alive_s,
                one.since_s + unit.min_resident_s,
            )
            if self._now_s >= ends_s:
                self._stays.discard(name)
                self._leave(name, None)
            else:
                self._look(ends_s)

    def _load_wanted(self) -> None:
        """Load what nobody asks for yet, where nobody who asks could want the room."""
        for name in self._units if not self._pending else ():
            one = self._standings[name]
            if not one.wanted or one.waiting or one.state is not State.STOPPED:
                continue
            if self._room.fits(name, self._stays) and self._now.fits(name, self._here):
                self._promise(name)

    def _oldest_s(self, name: str) -> float:
        return self._standings[name].waiting[0]

    def _look(self, at_s: float) -> None:
        self._look_at_s = min(self._look_at_s, at_s)
