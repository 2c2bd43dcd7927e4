"""Who lives here after a reload, and what those take who have yet to end."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engines.kinds import Launch
from engines.residency import State, Unit
from gateway.fleet import Replica
from gateway.fleet.breaker import BreakerRules
from gateway.fleet.residence import Residence
from gateway.fleet.tenants import Tenants
from tests.support.fleets import plan

LAUNCH = Launch((), None, 1, 1)


def replicas(count: int) -> list[Replica]:
    plans = [replace(plan("a", str(index)), launch=LAUNCH) for index in range(count)]
    return [Replica(one, {}, BreakerRules()) for one in plans]


def residence(**needs: int) -> Residence:
    return Residence(Unit("a", needs), ("a",))


def needs_of(tenants: Tenants) -> list[tuple[State, dict[str, int]]]:
    return [(t.state, dict(t.residence.unit.needs)) for t in tenants.by_name.values()]


def change(tenants: Tenants, one: Residence, fleet: Sequence[Replica]) -> None:
    tenants.change([one], fleet, lambda _: True, 0.0)


@pytest.mark.parametrize(
    ("before", "after", "rest"),
    [
        ({"ram": 9}, {"ram": 3}, {"ram": 6}),
        ({"ram": 10}, {"ram": 4}, {"ram": 7}),  # a third of the pages that all share counts twice
        ({"gpu0": 6, "gpu1": 3}, {"gpu0": 3}, {"gpu0": 4, "gpu1": 3}),
    ],
)
def test_replicas_that_end_count_until_they_have_though_their_unit_stays(
    before: dict[str, int], after: dict[str, int], rest: dict[str, int]
) -> None:
    tenants, three = Tenants(), replicas(3)
    change(tenants, residence(**before), three)
    tenants["a"].state = State.READY
    change(tenants, residence(**after), three[:1])
    assert needs_of(tenants) == [(State.READY, after), (State.DRAINING, rest)]
    left = tenants.of(three[2])
    assert left is tenants.of(three[1]) is not tenants["a"]
    assert left is not None
    assert tenants.has_left(left)
    assert needs_of(tenants) == [(State.READY, after)]


def test_what_has_no_process_takes_nothing_when_it_goes() -> None:
    tenants, two = Tenants(), replicas(2)
    tenants.change([residence(ram=4)], two, lambda _: False, 0.0)
    tenants.change([residence(ram=2)], two[:1], lambda _: False, 0.0)
    assert needs_of(tenants) == [(State.STOPPED, {"ram": 2})]
