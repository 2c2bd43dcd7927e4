"""Models that somebody loads and unloads by hand.

Owns: what that means for a unit, and who is refused.
Must not: decide who makes room (`engines.residency` does), or speak HTTP.
"""

from collections.abc import Callable

from engines.residency import State
from gateway.errors import NoModelAvailable, NotOnDemand
from gateway.fleet.fleet import Fleet
from gateway.fleet.resident import Resident
from gateway.fleet.staying import Stay
from gateway.fleet.tenant import Tenant


class ByHand:
    """Stateless; each call is owned by the task of one request."""

    def __init__(self, fleet: Fleet, resident: Resident, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._resident = resident
        self._clock = clock

    async def load(self, model: str) -> None:
        """Wait until a model is in memory, as a request for it would, pulled before if need be.

        Cancellation ends the wait; a load that has begun goes on.

        Raises:
            NotOnDemand: it is loaded all the time, or runs elsewhere.
            ModelBusy: as many wait for it as may.
            NoModelAvailable: it could not be loaded, or not within `load_wait_s`.
        """
        self._unit(model)
        reception, now_s = self._resident.reception, self._clock()
        until_s = now_s + reception.residing.wait_s
        stay = Stay(self._fleet, reception, self._clock, since_s=now_s, until_s=until_s, heart=None)
        try:
            while stay.awaits(model, ()):
                await stay.wait(model)
        finally:
            stay.close()
        if stay.busy is not None:
            raise stay.busy
        if self._unit(model).state is not State.READY:
            why = self._fleet.why_not((model,), self._clock())
            error = NoModelAvailable(f"{why}. GET /ready says more.")
            error.retry_after_s = reception.retry_after_s((model,))
            raise error

    async def unload(self, model: str) -> None:
        """Have a model leave memory, after the requests that it has; return when it has gone.

        Those that wait for it meanwhile load it again, as does the next one. Cancellation ends the
        wait alone, as does another file by which the model is another or always there.

        Raises:
            NotOnDemand: it is loaded all the time, runs elsewhere, or is pinned.
        """
        tenant = self._unit(model)
        if tenant.residence.unit.pinned:
            raise NotOnDemand(f"'{model}' is pinned and never unloaded. Remove its `pin` first.")
        self._resident.let_go(tenant)
        while tenant.state is State.DRAINING and self._resident.unit_named(model) is tenant:
            await self._fleet.changed()

    def _unit(self, model: str) -> Tenant:
        tenant = self._resident.unit_named(model)
        if tenant is None:
            raise NotOnDemand(
                f"'{model}' is always loaded, or remote. Only a managed model is loaded and "
                "unloaded, with `load: demand`, `keep_alive_s` or `residency: {memory: ...}`."
            )
        return tenant
