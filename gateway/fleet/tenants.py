"""Who lives here: the units of the file in force, and those whose processes have yet to end.

Owns: which unit a model and a replica belong to; who moves in and out with another file.
Must not: turn a unit's state, except for what moves out while its processes end; ask the planner.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from engines.residency import State
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

        A unit that keeps a replica keeps its state. `lives` says which replicas have a process.
        """
        replicas, before, fresh = tuple(fleet), self._here, list[Tenant]()
        self._here = {}
        for residence in residences:
            models = set(residence.models)
            mine = tuple(r for r in replicas if r.plan.model in models and r.plan.launch)
            old = before.get(residence.unit.name)
            if old is not None and set(old.replicas) & set(mine):
                del before[residence.unit.name]
                old.residence, old.replicas, tenant = residence, mine, old
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


def _key(tenant: Tenant) -> str:
    return f"{tenant.name} {id(tenant)}"
