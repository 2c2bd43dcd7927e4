"""Which replicas stay, which start and which end when a fleet is to be another one.

Owns: what makes a replica the same one. Must not: start, end or change anything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from engines.kinds import Deadlines, ReplicaPlan


def name_of(plan: ReplicaPlan) -> str:
    """Return a replica's name, of which a fleet has one."""
    return f"{plan.model}/{plan.engine}/{plan.replica}"


def mould_of(plan: ReplicaPlan) -> ReplicaPlan:
    """Return a plan less what can change while the replica runs.

    Plans are to be compared that were made for one room: a share of the cores or the place of a
    socket makes no other replica.
    """
    launch = plan.launch
    return replace(
        plan,
        # A process that runs has its environment already.
        launch=None if launch is None else replace(launch, secrets=frozenset()),
        # A server elsewhere is told the name with each request.
        upstream_model=plan.upstream_model if launch is not None else "",
        health_interval_s=0,
        deadlines=Deadlines(),
        continue_wait_s=0,
        takes_priority=False,
        warm_up=None,
    )


def moulds_of(plans: Iterable[ReplicaPlan]) -> Mapping[str, ReplicaPlan]:
    """Return the moulds of some replicas by their names."""
    return {name_of(plan): mould_of(plan) for plan in plans}


@dataclass(frozen=True, slots=True)
class Difference:
    """Names of replicas; one that becomes another under its name is both added and removed."""

    kept: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def difference(before: Mapping[str, ReplicaPlan], after: Mapping[str, ReplicaPlan]) -> Difference:
    """Return what leads from some moulds to others, by name."""
    kept = tuple(name for name, mould in after.items() if before.get(name) == mould)
    return Difference(
        kept,
        added=tuple(name for name in after if name not in kept),
        removed=tuple(name for name in before if name not in kept),
    )
