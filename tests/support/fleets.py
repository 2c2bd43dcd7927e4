"""Fleets of replicas that run nowhere: plain values for tests of decisions."""

from collections.abc import Iterable

from engines.kinds import ReplicaAddress, ReplicaPlan
from gateway.fleet import Condition, Fleet, Replica
from gateway.observe.account import Account
from gateway.observe.metrics import Metrics


def plan(
    model: str = "m",
    replica: str = "0",
    *,
    capacity: int | None = None,
    problem: str | None = None,
    adapters: tuple[str, ...] = (),
) -> ReplicaPlan:
    return ReplicaPlan(
        model=model,
        engine="lab",
        replica=replica,
        address=ReplicaAddress(host="127.0.0.1", port=9),
        upstream_model=model,
        health_path="/health",
        health_interval_s=1,
        capacity=capacity,
        problem=problem,
        adapters=adapters,
    )


def fleet_of(*plans: ReplicaPlan, ready: bool = True) -> tuple[Fleet, Metrics]:
    """Return a fleet, its replicas ready unless told otherwise or they have a problem."""
    metrics = Metrics()
    fleet = Fleet(plans, metrics)
    metrics.show(fleet.figures)
    for replica in fleet:
        if ready and replica.plan.problem is None:
            fleet.update(replica, Condition.READY)
    return fleet, metrics


def named(fleet: Fleet, *replicas: str) -> list[Replica]:
    """Return the replicas with these names, in this order."""
    return [next(r for r in fleet if r.plan.replica == name) for name in replicas]


def account() -> Account:
    """Return an account whose clock stands still."""
    return Account(lambda: 1.0, 1.0)


def figure(metrics: Metrics, name: str, wanted: Iterable[tuple[str, str]] = ()) -> float:
    """Return the sum of a figure over the samples that carry these labels."""
    return sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name and set(wanted) <= set(sample.labels.items())
    )
