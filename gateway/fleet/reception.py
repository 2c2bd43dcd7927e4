"""What a request may know of models that are not always in memory, and how it waits for them.

Owns: these answers, and who waits.
Must not: load anything; decide who is loaded.
"""

import math
from collections.abc import Callable, Iterable, Mapping

from engines.residency import State
from gateway.fleet.residence import Residing
from gateway.fleet.tenant import UNKNOWN_PULL_S, Tenant
from gateway.fleet.tenants import Tenants

_MOST_WAITING = 1_024


class Reception:
    """Mutable; used from the event loop's thread only. `changed` is told that somebody waits."""

    def __init__(
        self, tenants: Tenants, clock: Callable[[], float], changed: Callable[[], None]
    ) -> None:
        self._tenants = tenants
        self._clock = clock
        self._changed = changed
        self.residing = Residing()
        # Units that admit only who has waited since before a moment.
        self.hold: Mapping[str, float] = {}

    @property
    def active(self) -> bool:
        """Whether any model may be absent from memory."""
        return bool(self._tenants)

    def state_of(self, model: str) -> tuple[str, str] | None:
        """Return a model's state and the reason for it, None where it is loaded all the time."""
        tenant = self._tenants.models.get(model)
        if tenant is None:
            return None
        reason = tenant.reason if tenant.coming is None else tenant.coming.in_words()
        return tenant.state.value, reason

    def pulled_of(self, model: str) -> tuple[int, int | None, float | None] | None:
        """Return bytes here, bytes in all and seconds left of a model that is pulled, else None."""
        tenant = self._tenants.models.get(model)
        if tenant is None or tenant.coming is None:
            return None
        coming = tenant.coming
        return coming.here_bytes, coming.size_bytes, coming.left_s(self._clock())

    def coming_s(self, model: str) -> float | None:
        """Return about how soon a model serves that may be waited for, else None."""
        tenant, now_s = self._tenants.models.get(model), self._clock()
        if tenant is None or not tenant.comes(now_s):
            return None
        known_s = tenant.ready_in_s(now_s)
        return UNKNOWN_PULL_S if known_s is None and tenant.absent else known_s

    def doing(self, model: str) -> tuple[str, float | None]:
        """Return what is done that a model may serve, and how long that takes as far as known."""
        tenant = self._tenants.models.get(model)
        if tenant is None:
            return "loading", None
        words = "pulling" if tenant.state is State.PULLING else "loading"
        return words, tenant.ready_in_s(self._clock())

    def far(self, model: str) -> bool:
        """Say whether a model has to be pulled first: nobody waits for that whom another serves."""
        tenant = self._tenants.models.get(model)
        return tenant is not None and bool(tenant.absent)

    def want(self, model: str) -> None:
        """Have a model's weights pulled although nobody waits for it."""
        tenant = self._tenants.models[model]
        if not tenant.wanted:
            tenant.wanted = True
            self._changed()

    def comes(self, model: str, since_s: float) -> bool:
        """Say whether a request that has waited `since_s` is to wait for a load, or its turn."""
        tenant = self._tenants.models.get(model)
        if tenant is None or not tenant.comes(self._clock()):
            return False
        if tenant.state is not State.READY:
            return True
        mine = [one for one in tenant.replicas if model in one.plan.served]
        if any(one.ready for one in mine):
            return since_s >= self.hold.get(tenant.name, math.inf)
        # Another model of its unit was up before it.
        return any(one.condition.hopeful for one in mine)

    def full(self, model: str) -> bool:
        """Say whether as many requests wait for a model to be loaded as may.

        One always may: nobody could ever load a model of whose requests none may wait.
        """
        tenant = self._tenants.models[model]
        return len(tenant.waiting) >= max(1, self.residing.most_waiting.get(model, _MOST_WAITING))

    def retry_after_s(self, models: Iterable[str]) -> float | None:
        """Return how soon it is worth to ask for one of these models again, None if never."""
        now_s, units = self._clock(), self._tenants.models
        tenants = [units[model] for model in models if model in units]
        known = [soon_s for one in tenants if (soon_s := one.retry_in_s(now_s)) is not None]
        return max(1.0, min(known)) if known else None

    def waits_at(self, model: str, tenant: Tenant) -> bool:
        """Say whether who has joined a unit waits for this model: another file may have others."""
        return self._tenants.models.get(model) is tenant

    def join(self, model: str, since_s: float) -> Tenant:
        """Let a request wait for a model; `leave` ends that."""
        tenant = self._tenants.models[model]
        tenant.join(since_s)
        self._changed()
        return tenant

    def leave(self, tenant: Tenant, since_s: float) -> None:
        """End a request's wait, whatever came of it. Its load goes on."""
        tenant.leave(since_s)
        self._changed()
