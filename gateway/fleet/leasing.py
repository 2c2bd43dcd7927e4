"""How a request gets a replica: at once, in its turn, or when one has started.

Owns: these waits and their ends.
Must not: choose models; relay.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.domain import Outcome, Refusal
from gateway.errors import ModelBusy, NoModelAvailable
from gateway.fleet.balance import NOTHING, Load
from gateway.fleet.fleet import Fleet
from gateway.fleet.queue import Refused
from gateway.fleet.replica import Lease
from gateway.fleet.tries import Tries
from gateway.observe.account import Account

_WHY = {
    Refusal.FULL: "as many requests as may wait for it do (max_queued)",
    Refusal.LATE: "it could not begin within its first_byte_timeout_s",
    Refusal.DISPLACED: "more urgent requests have taken its place in the queue",
    Refusal.EXPIRED: "its turn has not come within its first_byte_timeout_s",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What of a request counts here. `goes_on`: an answer to it had begun."""

    arrived_s: float
    priority: Callable[[], int]
    goes_on: bool = False
    load: Load = NOTHING


class Leasing:
    """Waits on behalf of requests."""

    def __init__(self, fleet: Fleet, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._clock = clock

    async def lease(self, models: Sequence[str], wish: Wish, tries: Tries) -> Lease:
        """Return a lease on the first model that has a free place on a replica that is up.

        Where all that are up are full, the request waits for its turn; where none is up but one
        may be soon, for that. Cancellation gives up its place.

        Raises:
            ApiError: what the last try failed with, where one has and there is nobody else.
            ModelBusy: there is no place in a queue either, or its turn would come too late.
            NoModelAvailable: none is up.
        """
        asked_s = self._clock()
        deadline_s = asked_s + tries.patience_s
        priority = wish.priority() if any(map(self._fleet.queue, models)) else 0
        while True:
            now_s, avoid = self._clock(), tries.avoided()
            for model in models:
                account, queued_s = self._account(wish, tries), now_s - asked_s
                lease = self._fleet.lease(
                    model, account, queued_s=queued_s, avoid=avoid, load=wish.load
                )
                if lease is not None:
                    return _counted(lease, wish, tries)
            full = [model for model in models if self._fleet.full(model, avoid)]
            if full:
                lease = await self._turn(full, wish, tries, priority)
                waited_s = self._clock() - now_s
                deadline_s += waited_s
                tries.patience_s += waited_s  # that is for starts
                if lease is not None:
                    return _counted(lease, wish, tries)
                continue
            hopeful = tries.unnoticed() or self._fleet.hopeful(models)
            if not tries.may_wait or now_s >= deadline_s or not hopeful:
                break
            try:
                async with asyncio.timeout(deadline_s - now_s):
                    await self._fleet.changed()
            except TimeoutError:
                break
        if tries.failure is not None:
            raise tries.failure
        raise self._nobody(models)

    async def _turn(
        self, models: Sequence[str], wish: Wish, tries: Tries, priority: int
    ) -> Lease | None:
        """Wait in the first queue that takes the request; None where its replica went meanwhile.

        Raises:
            ApiError: none takes it, or it was turned out of it.
        """
        refusals: dict[str, Refused] = {}
        asked_s, woken = self._clock(), asyncio.Event()
        for model in models:
            queue = self._fleet.queue(model)
            if queue is None:
                continue
            patience_s = queue.limits.begin_within_s - (asked_s - wish.arrived_s)
            if wish.goes_on:
                patience_s = tries.patience_s
            ticket = queue.join(priority, patience_s, woken.set, must=tries.failure is not None)
            if isinstance(ticket, Refused):
                refusals[model] = ticket
                continue
            metrics = self._fleet.waits[model]
            metrics.waiting.inc()
            lease = None
            try:
                async with asyncio.timeout(patience_s):
                    await woken.wait()
                if ticket.refused is None:
                    account, queued_s = self._account(wish, tries), self._clock() - asked_s
                    lease = self._fleet.lease(
                        model,
                        account,
                        queued_s=queued_s,
                        avoid=tries.avoided(),
                        granted=True,
                        load=wish.load,
                    )
                    return lease
                refusals = {model: ticket.refused}
            except TimeoutError:
                refusals = {model: queue.expired()}
            finally:
                metrics.waiting.dec()
                if lease is None:
                    queue.leave(ticket)
            break
        if tries.failure is not None:
            raise tries.failure
        raise self._busy(refusals)

    def _account(self, wish: Wish, tries: Tries) -> Account:
        retried = tries.failure is not None
        return Account(self._clock, wish.arrived_s, retried=retried, goes_on=wish.goes_on)

    def _busy(self, refusals: dict[str, Refused]) -> ModelBusy:
        """Return the error of a request that no queue has kept, and count it."""
        for model, refused in refusals.items():
            self._fleet.waits[model].refused(refused.reason)
        self._fleet.turned_away(tuple(refusals), Outcome.OVERLOADED)
        why = "; ".join(f"{model}: {_WHY[one.reason]}" for model, one in refusals.items())
        error = ModelBusy(f"No model that may serve this request has room now. {why}.")
        error.retry_after_s = min(refused.retry_after_s for refused in refusals.values())
        return error

    def _nobody(self, models: Sequence[str]) -> NoModelAvailable:
        self._fleet.turned_away(models, Outcome.UNAVAILABLE)
        now_s = self._clock()
        why = self._fleet.why_not(models, now_s)
        error = NoModelAvailable(
            f"No model that may serve this request is up: {why}. GET /ready says more."
        )
        error.retry_after_s = self._fleet.rests_s(models, now_s) or None
        return error


def _counted(lease: Lease, wish: Wish, tries: Tries) -> Lease:
    if tries.outcome is not None and not wish.goes_on:
        lease.metrics.tried_after(tries.outcome)
    return lease
