"""The fleet's decisions: who gets a request, who may soon, who waits, and what is said of it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from gateway.domain import Outcome
from gateway.fleet import Condition, Fleet, Lease
from gateway.fleet.breaker import BreakerRules
from gateway.observe.metrics import Metrics
from tests.support.fleets import account, figure, fleet_of, named, plan

NOT_READY = [condition for condition in Condition if condition is not Condition.READY]


def taken(fleet: Fleet, model: str = "m", **options: object) -> str | None:
    """Lease a replica; return its name."""
    lease = fleet.lease(model, account(), **options)  # type: ignore[arg-type]  # passed on
    return None if lease is None else lease.replica.plan.replica


async def test_the_least_busy_replica_is_chosen() -> None:
    fleet, _ = fleet_of(plan(replica="a"), plan(replica="b"), plan(replica="c"))
    first, second, third = (fleet.lease("m", account()) for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    second.end(Outcome.OK)
    assert taken(fleet) == second.replica.plan.replica


async def test_replicas_take_turns_when_all_are_idle() -> None:
    fleet, _ = fleet_of(plan(replica="a"), plan(replica="b"), plan(replica="c"))
    names = []
    for _ in range(6):
        lease = fleet.lease("m", account())
        assert lease is not None
        names.append(lease.replica.plan.replica)
        lease.end(Outcome.OK)
    assert names == ["a", "b", "c"] * 2


async def test_busyness_is_measured_by_capacity() -> None:
    fleet, _ = fleet_of(plan(replica="small", capacity=1), plan(replica="large", capacity=8))
    names = [taken(fleet) for _ in range(9)]
    assert names.count("large") == 8
    assert names.count("small") == 1


async def test_a_replica_whose_last_request_failed_stands_behind_all_others() -> None:
    fleet, _ = fleet_of(plan(replica="a"), plan(replica="b"))
    a, _b = named(fleet, "a", "b")
    a.suspect = True
    assert [taken(fleet) for _ in range(5)] == ["b"] * 5
    (b,) = named(fleet, "b")
    assert taken(fleet, avoid={b}) == "a"


async def test_success_ends_suspicion_and_failure_does_not() -> None:
    fleet, _ = fleet_of(plan())
    (replica,) = fleet
    for outcome, still in ((Outcome.ENGINE_ERROR, True), (Outcome.OK, False)):
        replica.suspect = True
        lease = fleet.lease("m", account())
        assert lease is not None
        lease.end(outcome)
        assert replica.suspect is still


async def test_an_adapter_is_leased_on_the_replicas_of_its_model_under_its_own_name() -> None:
    fleet, metrics = fleet_of(plan(adapters=("sql", "law")))
    leases = [fleet.lease(name, account()) for name in ("m", "sql", "law", "sql")]
    (replica,) = fleet
    assert [lease and (lease.replica, lease.model) for lease in leases] == [
        (replica, name) for name in ("m", "sql", "law", "sql")
    ]
    assert replica.in_flight == 4
    assert fleet.status()["sql"].in_flight == fleet.status()["m"].in_flight == 4
    flying = "weighbridge_requests_in_flight"
    assert [figure(metrics, flying, [("model", name)]) for name in ("m", "sql")] == [1, 2]


@pytest.mark.parametrize("condition", NOT_READY)
async def test_only_what_is_ready_is_leased(condition: Condition) -> None:
    fleet, _ = fleet_of(plan())
    (replica,) = fleet
    fleet.update(replica, condition, "because")
    assert taken(fleet) is None
    assert condition.value in fleet.why_not(["m"])
    assert "because" in fleet.why_not(["m"])
    assert not fleet.status()["m"].available
    assert "because" in fleet.status()["m"].reason
    hopeful = condition in (Condition.STARTING, Condition.BACKING_OFF)
    assert fleet.hopeful(["nobody", "m"]) is hopeful


async def test_a_model_that_nobody_configured_has_no_replica_and_no_hope() -> None:
    fleet, metrics = fleet_of(plan())
    assert taken(fleet, "nobody") is None
    assert not fleet.hopeful(["nobody"])
    assert fleet.views("nobody") == ()
    fleet.turned_away(["nobody"])
    assert figure(metrics, "weighbridge_requests_total") == 0


async def test_a_plan_with_a_problem_has_failed_before_it_began() -> None:
    fleet, metrics = fleet_of(plan(problem="no such file"), plan("other"))
    (view,) = fleet.views("m")
    assert (view.state, view.reason) == ("failed", "no such file")
    assert taken(fleet) is None
    assert taken(fleet, "other") == "0"
    fleet.turned_away(["m", "other"])
    unavailable = [("outcome", "unavailable"), ("model", "m")]
    assert figure(metrics, "weighbridge_requests_total", unavailable) == 1


async def test_whoever_waits_is_woken_by_each_change_and_only_by_one() -> None:
    fleet, _ = fleet_of(plan(), ready=False)
    (replica,) = fleet
    waiting = [asyncio.create_task(fleet.changed()) for _ in range(3)]
    assert not fleet.update(replica, Condition.STARTING, "another reason")
    done, _ = await asyncio.wait(waiting, timeout=0.01)
    assert not done
    assert fleet.update(replica, Condition.READY)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_a_change_of_condition_ends_suspicion() -> None:
    fleet, _ = fleet_of(plan())
    (replica,) = fleet
    replica.suspect = True
    fleet.update(replica, Condition.BACKING_OFF, "died", 1)
    assert not replica.suspect
    assert fleet.views("m")[0].restarts == 1


async def test_a_models_status_adds_its_replicas_up() -> None:
    fleet, _ = fleet_of(
        plan(replica="a", capacity=2), plan(replica="b", capacity=3), plan("x", capacity=None)
    )
    taken(fleet)
    taken(fleet)
    status = fleet.status()
    assert (status["m"].available, status["m"].in_flight, status["m"].capacity) == (True, 2, 5)
    assert status["x"].capacity is None
    (a,) = named(fleet, "a")
    fleet.update(a, Condition.BACKING_OFF)
    assert fleet.status()["m"].capacity == 3


async def test_a_dead_engines_own_figures_are_not_shown() -> None:
    fleet, metrics = fleet_of(plan())
    (replica,) = fleet
    replica.figures = type(replica.figures)(running=2, waiting=1, kv_used_ratio=0.5)
    assert figure(metrics, "weighbridge_engine_kv_used_ratio") == 0.5
    fleet.update(replica, Condition.BACKING_OFF)
    assert figure(metrics, "weighbridge_engine_kv_used_ratio") == 0
    assert figure(metrics, "weighbridge_engine_up") == 0


# What may happen: a request comes; the n-th open one ends; its end is told again; the n-th replica
# changes its condition or fails a request.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("lease"), st.sampled_from(["m", "n", "nobody"])),
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(Outcome)),
        st.tuples(st.just("again"), st.integers(0, 9), st.sampled_from(Outcome)),
        st.tuples(st.just("update"), st.integers(0, 4), st.sampled_from(Condition)),
        st.tuples(st.just("suspect"), st.integers(0, 4)),
    ),
    max_size=60,
)
PLANS = (
    plan(replica="a", capacity=2),
    plan(replica="b", capacity=4),
    plan(replica="c"),
    plan("n"),
    plan("n", "bad", problem="it cannot"),
)


@given(STEPS)
async def test_in_flight_returns_to_zero_whatever_happens(steps: list[tuple[object, ...]]) -> None:
    fleet, metrics = fleet_of(*PLANS)
    replicas = list(fleet)
    running: list[Lease] = []
    ended: list[Lease] = []
    for step in steps:
        match step:
            case ("lease", str(model)):
                lease = fleet.lease(model, account())
                running += [lease] if lease is not None else []
            case ("end", int(index), Outcome() as outcome) if running:
                lease = running.pop(index % len(running))
                lease.end(outcome)
                ended.append(lease)
            case ("again", int(index), Outcome() as outcome) if ended:
                ended[index % len(ended)].end(outcome)
            case ("update", int(index), Condition() as condition):
                fleet.update(replicas[index], condition)
            case ("suspect", int(index)):
                replicas[index].suspect = True
        assert sum(replica.in_flight for replica in fleet) == len(running)
        assert figure(metrics, "weighbridge_requests_in_flight") == len(running)
    for lease in running:
        lease.end(Outcome.CANCELLED)
    assert all(replica.in_flight == 0 for replica in fleet)
    assert figure(metrics, "weighbridge_requests_in_flight") == 0
    assert figure(metrics, "weighbridge_requests_total") == len(running) + len(ended)


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.integers(0, 5), st.none() | st.integers(1, 8)),
        min_size=1,
        max_size=6,
    )
)
async def test_no_better_replica_than_the_chosen_one_is_left(
    states: list[tuple[bool, bool, int, int | None]],
) -> None:
    plans = [plan(replica=str(i), capacity=state[3]) for i, state in enumerate(states)]
    fleet, _ = fleet_of(*plans)
    for replica, (is_ready, suspect, in_flight, _) in zip(fleet, states, strict=True):
        fleet.update(replica, Condition.READY if is_ready else Condition.DOWN)
        replica.suspect, replica.in_flight = suspect, in_flight
    lease = fleet.lease("m", account())
    ready = [replica for replica in fleet if replica.ready]
    if lease is None:
        assert not ready
        return
    chosen = lease.replica
    chosen.in_flight -= 1
    assert chosen.ready
    assert not chosen.suspect or all(replica.suspect for replica in ready)
    for other in ready:
        if other.suspect == chosen.suspect:
            load = other.in_flight / (other.plan.capacity or 1)
            assert chosen.in_flight / (chosen.plan.capacity or 1) <= load


async def test_a_model_says_how_soon_it_may_serve_by_how_long_its_last_start_took() -> None:
    times = iter((5.0, 12.0, 20.0, 21.0, 30.0))
    fleet = Fleet([plan()], Metrics(), clock=lambda: next(times))
    (replica,) = fleet
    assert fleet.status()["m"].ready_in_s == 30
    fleet.update(replica, Condition.STARTING)
    fleet.update(replica, Condition.READY)
    assert fleet.status()["m"].ready_in_s == 0
    fleet.update(replica, Condition.BACKING_OFF)
    fleet.update(replica, Condition.STARTING)
    assert fleet.status()["m"].ready_in_s == 7
    fleet.update(replica, Condition.FAILED)
    assert fleet.status()["m"].ready_in_s is None


def test_series_of_servers_that_are_gone_leave_when_many_others_have_gone() -> None:
    metrics = Metrics()
    fleet = Fleet([plan(replica="stays"), plan(replica="first")], metrics)

    def go_on_with(server: str) -> None:
        fleet.change([plan(replica="stays"), plan(replica=server)], (), BreakerRules(), {})

    def series(server: str) -> int:
        text = generate_latest(metrics.registry).decode()
        return text.count(f'replica="{server}"')

    shown = series("first")
    for number in range(64):
        go_on_with(f"server {number}")
    assert series("first") == series("server 0") == shown
    go_on_with("first")
    go_on_with("last")
    go_on_with("another")
    assert (series("server 0"), series("server 1")) == (0, 0)
    assert series("first") == series("another") == series("stays") == shown
