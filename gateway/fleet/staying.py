"""One request's wait for models to be loaded.

Owns: for which model it waits, until when, and the signs of life that its client gets meanwhile.
Must not: load anything; wait for a place at a model that is there (`gateway.fleet.queue` does).

| the client leaves while | then |
|---|---|
| the load has not begun: others are in its way | it is not begun, unless others wait too |
| it is being loaded | the load goes on: it is half paid for, and clients try again |
| it waits for its turn at a model that is held | it has lost its turn, and nobody else theirs |
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from gateway.errors import ModelBusy
from gateway.fleet.fleet import Fleet
from gateway.fleet.reception import Reception
from gateway.fleet.replica import Replica
from gateway.fleet.tenant import Tenant


class Heart(Protocol):
    """Whoever tells a client that its request is alive."""

    next_s: float

    async def beat(self, model: str, doing: str, ready_in_s: float | None) -> None:
        """Tell that a model is being pulled or loaded. Called at `next_s` or later."""


class Stay:
    """Mutable; owned by the task of one request, which has to `close` it.

    `since_s` is when it began to wait, `until_s` when it gives up. It keeps its place until it has
    its lease. `busy` says of a model that as many wait for it as may.
    """

    def __init__(
        self,
        fleet: Fleet,
        reception: Reception,
        clock: Callable[[], float],
        *,
        since_s: float,
        until_s: float,
        heart: Heart | None,
    ) -> None:
        self._fleet = fleet
        self._reception = reception
        self._clock = clock
        self._since_s = since_s
        self._until_s = until_s
        self._heart = heart
        self._at: tuple[str, Tenant] | None = None
        self.given_up: list[str] = []
        self.busy: ModelBusy | None = None

    def awaits(self, model: str, ruled_out: Collection[Replica]) -> bool:
        """Say whether the request is to wait for this model rather than ask the next."""
        return (
            model not in self.given_up
            and self._reception.comes(model, self._since_s)
            and self._fleet.may_serve((model,), ruled_out)
        )

    async def wait(self, model: str) -> None:
        """Wait until something has changed.

        When it has waited for too long, or as many wait for it as may, give the model up.
        """
        placed, now_s = self._move(model), self._clock()
        if not placed or now_s >= self._until_s:
            self.given_up.append(model)
            return
        heart = self._heart
        until_s = self._until_s if heart is None else min(self._until_s, heart.next_s)
        try:
            async with asyncio.timeout(max(0.0, until_s - now_s)):
                await self._fleet.changed()
        except TimeoutError:
            if heart is not None and self._clock() >= heart.next_s:
                await heart.beat(model, *self._reception.doing(model))

    def close(self) -> None:
        """Wait no more."""
        if self._at is not None:
            model, tenant = self._at
            self._at = None
            self._fleet.waits[model].waiting.dec()
            self._reception.leave(tenant, self._since_s)

    def _move(self, model: str) -> bool:
        """Wait for this model; say whether there is a place for that."""
        if self._at is not None:
            joined, tenant = self._at
            if joined == model and self._reception.waits_at(model, tenant):
                return True
        self.close()
        if self._reception.full(model):
            self.busy = ModelBusy(
                f"The queue of '{model}', which is being loaded, is full (max_queued)."
            )
            self.busy.retry_after_s = max(1.0, self._reception.coming_s(model) or 0)
            return False
        self._at = model, self._reception.join(model, self._since_s)
        self._fleet.waits[model].waiting.inc()
        return True
