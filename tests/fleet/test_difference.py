"""Which replicas stay, start and end: a pure difference, and a fleet that follows it."""

import asyncio
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from engines.kinds import Deadlines, Launch, ReplicaPlan
from gateway.blueprint import blueprint_of
from gateway.config.loading import parse_config
from gateway.domain import Outcome
from gateway.fleet import Condition
from gateway.fleet.breaker import BreakerRules
from gateway.fleet.difference import difference, moulds_of, name_of
from gateway.fleet.queue import Limits
from tests.support.fleets import account, fleet_of, plan

LAUNCH = Launch(("worker",), Path("a"), 1, 1)
PLANS = st.lists(
    st.builds(
        plan,
        st.sampled_from("abc"),
        st.sampled_from("01"),
        capacity=st.sampled_from([1, 2]),
    ),
    unique_by=name_of,
)


@given(PLANS, PLANS)
def test_what_stays_and_what_starts_are_the_new_fleet_and_what_stays_and_ends_the_old(
    before: list[ReplicaPlan], after: list[ReplicaPlan]
) -> None:
    old, new = moulds_of(before), moulds_of(after)
    change = difference(old, new)
    assert sorted([*change.kept, *change.added]) == sorted(new)
    assert sorted([*change.kept, *change.removed]) == sorted(old)
    assert all(old[name] == new[name] for name in change.kept)
    assert all(old.get(name) != new[name] for name in change.added)


@given(PLANS, PLANS)
def test_a_fleet_keeps_the_very_replicas_that_stay_and_has_no_others_than_the_file(
    before: list[ReplicaPlan], after: list[ReplicaPlan]
) -> None:
    fleet, _ = fleet_of(*before)
    old = {replica.name: replica for replica in fleet}
    kept = difference(moulds_of(before), moulds_of(after)).kept
    fleet.change(after, kept, BreakerRules(), {})
    new = {replica.name: replica for replica in fleet}
    assert list(new) == [name_of(one) for one in after]
    assert {name for name in new if new[name] is old.get(name)} == set(kept)
    assert set(fleet.status()) == {one.model for one in after}


@given(PLANS)
def test_nothing_changes_where_nothing_has_changed(plans: list[ReplicaPlan]) -> None:
    change = difference(moulds_of(plans), moulds_of(plans))
    assert not change.added
    assert not change.removed


def test_patience_and_keys_of_others_make_no_other_replica() -> None:
    before = replace(plan(), launch=LAUNCH)
    patient = replace(
        before,
        deadlines=Deadlines(idle_s=7),
        continue_wait_s=3,
        health_interval_s=9,
        launch=replace(LAUNCH, secrets=frozenset({"key"})),
    )
    name = name_of(before)
    assert difference(moulds_of([before]), moulds_of([patient])).kept == (name,)
    fleet, _ = fleet_of(before)
    fleet.change([patient], [name], BreakerRules(), {})
    (replica,) = fleet
    assert replica.plan.deadlines.idle_s == 7
    assert replica.plan.launch is LAUNCH


def test_another_command_line_is_another_replica() -> None:
    before = replace(plan(), launch=LAUNCH)
    after = replace(plan(), launch=replace(LAUNCH, argv=("worker", "--fast")))
    change = difference(moulds_of([before]), moulds_of([after]))
    assert change.added == change.removed == (name_of(before),)


def test_one_more_model_makes_no_other_processes_of_those_that_share_the_cores() -> None:
    rows = [f"m{n}: {{engine: cpu, weights: 'demo:qwen'}}" for n in range(4)]

    def moulds(count: int, generation: int) -> dict[str, ReplicaPlan]:
        text = "engines: {cpu: {kind: llamacpp}}\nmodels:\n  " + "\n  ".join(rows[:count])
        config = parse_config(text, "test.yaml", {})
        folder = Path("sockets")
        made = blueprint_of(config, {}, runtime_folder=folder, cores=8, generation=generation)
        return dict(made.moulds)

    change = difference(moulds(1, 0), moulds(4, 1))
    assert change.kept == ("m0/cpu/0",)
    assert len(change.added) == 3
    assert not change.removed


def test_replicas_of_two_generations_meet_on_no_socket() -> None:
    text = "engines: {cpu: {kind: llamacpp}}\nmodels: {m: {engine: cpu, weights: 'demo:qwen'}}"
    config = parse_config(text, "test.yaml", {})
    paths = {
        blueprint_of(config, {}, runtime_folder=Path("s"), cores=1, generation=one).plans[0].address
        for one in range(3)
    }
    assert len(paths) == 3


async def test_a_replica_that_is_gone_is_unused_when_its_last_request_is_over() -> None:
    fleet, metrics = fleet_of(plan())
    leases = [fleet.lease("m", account()) for _ in range(2)]
    (replica,) = fleet
    fleet.change([], [], BreakerRules(), {})
    assert fleet.lease("m", account()) is None
    assert fleet.why_not(["m"]) == "m is no longer served"
    waiting = asyncio.create_task(replica.unused())
    for lease in leases:
        await asyncio.sleep(0)
        assert not waiting.done()
        assert lease is not None
        lease.end(Outcome.OK)
    await waiting
    assert "weighbridge_engine_up{" not in generate_latest(metrics.registry).decode()


async def test_who_waits_for_a_replica_is_woken_by_a_change() -> None:
    fleet, _ = fleet_of(plan(), ready=False)
    waiting = asyncio.create_task(fleet.changed())
    await asyncio.sleep(0)
    fleet.change([plan(), plan("n")], ["m/lab/0"], BreakerRules(), {})
    await waiting
    assert [r.condition for r in fleet] == [Condition.STARTING, Condition.STARTING]


async def test_limits_come_change_and_go_with_the_file_and_queues_that_stay_keep_their_order() -> (
    None
):
    fleet, _ = fleet_of(plan())
    kept = ["m/lab/0"]
    fleet.change([plan()], kept, BreakerRules(), {"m": Limits(1)})
    queue = fleet.queue("m")
    assert queue is not None
    lease = fleet.lease("m", account())
    assert lease is not None
    assert fleet.full("m", ())
    fleet.change([plan()], kept, BreakerRules(), {"m": Limits(2)})
    assert fleet.queue("m") is queue
    assert not fleet.full("m", ())
    fleet.change([plan()], kept, BreakerRules(), {})
    assert fleet.queue("m") is None
    lease.end(Outcome.OK)
    assert queue.running == 0
