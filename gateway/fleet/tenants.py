"""Who lives here: the units of the file in force, and those whose processes have yet to end.

Owns: which unit a model and a replica belong to; who moves in and out with another file.
Must not: turn a unit's state, except for what moves out while its processes end; ask the planner.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from engines.residency import State, Unit
from gateway.fleet.replica import Replica
from gateway.fleet.residence import Residence
from gateway.fleet.tenant import Tenant


class Tenants:
    """Mutable; owned by `gateway.fleet.resident.Resident`. Iterating yields the file's units."""

    def __init__(self) -> None:
        self._here: dict[str, Tenant] = {}
        self._leaving: dict[str, Tenant] = {}  # of a file that is no more in force
        self._of_model: dict[str, Tenant] = {}
        self._of_replica: dict[Replica, Tenant] = {}

    def __iter__(self) -> Iterator[Tenant]:
        """Yield the units of the file in force, in its order."""
        yield from self._here.values()

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._here)

    def __getitem__(self, name: str) -> Tenant:
        """Return a unit of the file by its name."""
        return self._here[name]

    @property
    def by_name(self) -> Mapping[str, Tenant]:
        """Everybody whose memory counts: those that leave have names of their own."""
        return self._here | self._leaving

    @property
    def models(self) -> Mapping[str, Tenant]:
        """The unit of each model and adapter that has one."""
        return self._of_model

    def of(self, replica: Replica) -> Tenant | None:
        """Return the unit that a replica belongs to."""
        return self._of_replica.get(replica)

    def change(
        self,
        residences: Iterable[Residence],
        fleet: Iterable[Replica],
        lives: Callable[[Replica], bool],
        now_s: float,
    ) -> list[Tenant]:
        """Have the units of another file; return those that are new here.

        A unit that keeps a replica keeps its state, unless it is not awake and gets others.
        `lives` says which replicas have a process.
        """
        replicas, before, fresh = tuple(fleet), self._here, list[Tenant]()
        self._here = {}
        for residence in residences:
            models = set(residence.models)
            mine = tuple(r for r in replicas if r.plan.model in models and r.plan.launch)
            tenant = before.get(residence.unit.name)
            if tenant is not None and _stays(tenant, mine):
                del before[tenant.name]
                gone = [r for r in tenant.replicas if r not in mine and lives(r)]
                if gone and tenant.state.occupies:
                    self._leaves_behind(tenant, gone, residence.unit, now_s)
                tenant.residence, tenant.replicas = residence, mine
            else:
                tenant = Tenant(residence, mine, now_s)
                fresh.append(tenant)
            self._here[tenant.name] = tenant
        for tenant in before.values():
            self._moves_out(tenant, [r for r in tenant.replicas if r not in replicas and lives(r)])
        self._of_model = {
            name: tenant
            for tenant in self
            for replica in tenant.replicas
            for name in replica.plan.served
        }
        self._index()
        return fresh

    def _leaves_behind(
        self, tenant: Tenant, gone: Sequence[Replica], unit: Unit, now_s: float
    ) -> None:
        """Count what processes take that have yet to end, while their unit stays as this one."""
        for replica in gone:
            replica.on_idle = None
        before, replicas = tenant.residence, len(tenant.replicas)
        # Their share; or, where they had other GPUs than the rest, what is not needed there now.
        needs = {
            device: max(-(-need * len(gone) // replicas), need - unit.needs.get(device, 0))
            for device, need in before.unit.needs.items()
        }
        part = Tenant(replace(before, unit=replace(before.unit, needs=needs)), gone, now_s)
        part.state = State.DRAINING
        self._leaving[_key(part)] = part

    def _moves_out(self, tenant: Tenant, ending: Iterable[Replica]) -> None:
        """Forget a unit, but for the memory of processes that have not ended."""
        for replica in tenant.replicas:
            replica.on_idle = None
        left = tuple(ending)
        if tenant.state.occupies and left:
            tenant.replicas, tenant.waiting = left, []
            tenant.state, tenant.drowsy, tenant.wakes = State.DRAINING, False, False
            self._leaving[_key(tenant)] = tenant

    def _index(self) -> None:
        everybody = self.by_name.values()
        self._of_replica = {replica: one for one in everybody for replica in one.replicas}

    def has_left(self, tenant: Tenant) -> bool:
        """Forget a unit that was to leave; say whether it was."""
        if self._leaving.pop(_key(tenant), None) is None:
            return False
        self._index()
        return True

    def clear(self) -> None:
        """Forget everybody."""
        self._here, self._leaving, self._of_model, self._of_replica = {}, {}, {}, {}


def _stays(tenant: Tenant, replicas: Collection[Replica]) -> bool:
    """Say whether a unit goes on with these replicas.

    What is not awake is another unit with others beside it: half of it would sleep or be unloaded.
    """
    kept = set(tenant.replicas).intersection(replicas)
    awake = tenant.state in (State.PULLING, State.LOADING, State.READY) and not tenant.wakes
    return bool(kept) and (awake or len(kept) == len(replicas))


def _key(tenant: Tenant) -> str:
    return f"{tenant.name} {id(tenant)}"
