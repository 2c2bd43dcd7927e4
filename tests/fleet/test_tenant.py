"""One unit's state in the gateway: loads that fail, what is learnt, what is measured."""

from pathlib import Path

import pytest

from engines.residency import Event, State, Unit
from gateway.fleet.learned import LoadTimes
from gateway.fleet.residence import Residence
from gateway.fleet.tenant import LONGEST_REST_S, Tenant
from tests.support.fleets import fleet_of, plan


def tenant(need: int = 100) -> Tenant:
    fleet, _ = fleet_of(plan("m"))
    return Tenant(Residence(Unit("m", {"ram": need}), ("m",)), list(fleet), 0.0)


def fail(one: Tenant, now_s: float, *, for_good: bool = False) -> float:
    """Let a load fail; return for how long it rests."""
    one.turn(Event.LOAD, now_s)
    one.broke("no memory", now_s, for_good=for_good)
    one.ended(now_s)
    assert one.state is State.FAILED
    return one.rests_until_s - now_s


def test_who_waits_goes_on_waiting_when_a_load_has_failed_once_and_not_after_that() -> None:
    one = tenant()
    assert fail(one, 0.0) < 1
    assert one.comes(0.0)
    rests = [fail(one, 1_000.0 * n) for n in range(1, 12)]
    assert rests[:3] == [5, 10, 20]
    assert rests[-1] == LONGEST_REST_S
    assert not one.comes(11_000.0)
    assert one.retry_in_s(11_000.0) == LONGEST_REST_S
    assert one.comes(11_000.0 + LONGEST_REST_S)


def test_a_load_that_succeeds_forgives_the_failures_and_tells_how_long_the_next_takes() -> None:
    one = tenant()
    for now_s in (0.0, 100.0):
        fail(one, now_s)
    one.turn(Event.LOAD, 200.0)
    one.turn(Event.LOADED, 207.0)
    assert (one.failures, one.reason, one.load_s) == (0, "", 7.0)
    one.turn(Event.UNLOAD, 300.0)
    one.ended(301.0)
    assert one.ready_in_s(301.0) == 7.0
    one.turn(Event.LOAD, 400.0)
    assert one.ready_in_s(405.0) == 2.0
    assert one.ready_in_s(999.0) == 0.0


def test_what_can_never_run_is_not_waited_for() -> None:
    one = tenant()
    one.never("it needs 60 GiB")
    assert not one.comes(1e9)
    assert one.retry_in_s(0.0) is None
    assert one.ready_in_s(0.0) is None
    other = tenant()
    assert fail(other, 0.0, for_good=True) == LONGEST_REST_S
    assert not other.comes(1.0)


@pytest.mark.parametrize(("taken", "reckoned"), [(None, 100), (50, 100), (150, 150), (900, 400)])
def test_what_is_measured_counts_where_it_is_more_and_at_most_all_that_there_is(
    taken: int | None, reckoned: int
) -> None:
    one = tenant()
    one.replicas[0].memory_bytes = taken
    one.measured(400)
    assert one.unit.needs == {"ram": reckoned}


def test_load_times_outlive_the_process_and_a_broken_file_is_learnt_again(tmp_path: Path) -> None:
    LoadTimes(tmp_path / "cache").learn("mark", 12.3456)
    assert LoadTimes(tmp_path / "cache").known_s("mark") == 12.346
    assert LoadTimes(tmp_path / "cache").known_s("other") is None
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(b"{")
    assert LoadTimes(tmp_path / "cache").known_s("mark") is None
    nowhere = LoadTimes(Path("/dev/null/nowhere"))
    nowhere.learn("mark", 1.0)
    assert nowhere.known_s("mark") == 1.0
