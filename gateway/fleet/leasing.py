"""How a request gets a replica: at once, in its turn, or when one has started.

Owns: these waits and their ends; how many requests may be tried again.
Must not: choose models; relay.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence

from gateway.domain import Outcome, Refusal
from gateway.errors import ModelBusy, NoModelAvailable
from gateway.fleet.balance import Load
from gateway.fleet.budget import RetryBudget
from gateway.fleet.fleet import Fleet
from gateway.fleet.lending import Wish
from gateway.fleet.queue import Refused
from gateway.fleet.reception import Reception
from gateway.fleet.replica import Lease, Replica
from gateway.fleet.staying import Stay
from gateway.fleet.tries import Tries
from gateway.observe.account import Account

_WHY = {
    Refusal.FULL: "its queue is full (max_queued)",
    Refusal.LATE: "the request could not start within its first_byte_timeout_s",
    Refusal.DISPLACED: "more urgent requests took its place in the queue",
    Refusal.EXPIRED: "its turn did not come within its first_byte_timeout_s",
}


class Leasing:
    """Waits on behalf of requests."""

    def __init__(
        self,
        fleet: Fleet,
        reception: Reception,
        clock: Callable[[], float],
        retry_share: float,
    ) -> None:
        self._fleet = fleet
        self._reception = reception
        self._clock = clock
        self.retries = RetryBudget(retry_share)

    @property
    def heartbeat_after_s(self) -> float | None:
        """After how long a client is told that its model is loaded; None where all always are."""
        return self._reception.residing.heartbeat_after_s if self._reception.active else None

    async def may_retry(self) -> bool:
        """Take one of the tries that may follow a failure; say whether there was one."""
        return self.retries.spend()

    async def another(
        self, model: str, account: Account, avoid: Collection[Replica], load: Load
    ) -> Lease | None:
        """Return a lease that is to be had at once, or None."""
        return self._fleet.lease(model, account, avoid=avoid, load=load)

    def at_once(self, models: Sequence[str], wish: Wish, tries: Tries) -> Lease | None:
        """Return a lease on the first model that has a free place on a replica that is up.

        None where one may have to be waited for. Called once for each try, before `in_time`.

        Raises:
            InvalidRequest: the request's priority is no number.
        """
        if tries.failure is None:
            self.retries.earn()
        if self._fleet.waits and any(map(self._fleet.queue, models)):
            wish.priority()  # one that is no number is refused whether or not it would count
        if self._reception.active:
            return None
        avoid, now_s = tries.avoided(), self._clock()
        for model in models:
            lease = self._free(model, wish, tries, avoid, since_s=now_s)
            if lease is not None:
                return lease
        return None

    async def in_time(self, models: Sequence[str], wish: Wish, tries: Tries) -> Lease:
        """Return a lease for a request that gets nothing `at_once`.

        A model that is loaded on demand is waited for, unless that has failed of late. Where all
        that are up are full, the request waits for its turn; where none is up but one may be soon,
        for that. Cancellation gives up its place.

        Raises:
            ApiError: what the last try failed with, where one has and there is nobody else.
            ModelBusy: there is no place in a queue either, or its turn would come too late.
            NoModelAvailable: none is up.
        """
        asked_s = self._clock()
        stay = None
        if self._reception.active:
            patience_s = self._reception.residing.wait_s
            if wish.goes_on or tries.failure is not None:
                patience_s = tries.patience_s
            stay = Stay(
                self._fleet,
                self._reception,
                self._clock,
                since_s=asked_s,
                until_s=asked_s + patience_s,
                heart=wish.heart,
            )
        try:
            return await self._lease(models, wish, tries, asked_s, stay)
        finally:
            if stay is not None:
                stay.close()

    def _now(
        self,
        models: Sequence[str],
        wish: Wish,
        tries: Tries,
        asked_s: float,
        stay: Stay | None,
    ) -> Lease | str | None:
        """Return a lease, or the model that is to be waited for, or None.

        What has to be pulled first is pulled, and waited for where nobody else serves soon.
        """
        far = None
        queued_s, avoid = self._clock() - asked_s, tries.avoided()
        for model in models:
            lease = self._free(model, wish, tries, avoid, since_s=asked_s, queued_s=queued_s)
            if lease is not None:
                return lease
            if stay is None or not stay.awaits(model, tries.ruled_out):
                continue
            if not self._reception.far(model):
                return model
            self._reception.want(model)
            far = far or model
        return far

    def _free(
        self,
        model: str,
        wish: Wish,
        tries: Tries,
        avoid: Collection[Replica],
        *,
        since_s: float,
        queued_s: float = 0.0,
    ) -> Lease | None:
        """Return a lease on a model that has a free place on a replica that is up, else None."""
        account = self._account(wish, tries)
        lease = self._fleet.lease(
            model, account, queued_s=queued_s, avoid=avoid, load=wish.load, since_s=since_s
        )
        return None if lease is None else _counted(lease, wish, tries)

    async def _lease(
        self,
        models: Sequence[str],
        wish: Wish,
        tries: Tries,
        asked_s: float,
        stay: Stay | None,
    ) -> Lease:
        deadline_s = asked_s + tries.patience_s
        while True:
            found = self._now(models, wish, tries, asked_s, stay)
            if isinstance(found, Lease):
                return found
            now_s = self._clock()
            full = [model for model in models if self._fleet.full(model, tries.avoided())]
            if stay is not None and found is not None:
                await stay.wait(found)
            elif full:
                if stay is not None:
                    stay.close()  # from now on the queue knows that it waits
                lease = await self._turn(full, wish, tries, asked_s)
                if lease is not None:
                    return _counted(lease, wish, tries)
            elif stay is not None and stay.given_up:
                break  # it has waited for its starts already
            elif await self._started(models, tries, deadline_s):
                continue
            else:
                break
            waited_s = self._clock() - now_s
            deadline_s += waited_s
            tries.patience_s += waited_s  # that is for starts
        if tries.failure is not None:
            raise tries.failure
        raise self._nobody(models, stay)

    async def _started(self, models: Sequence[str], tries: Tries, deadline_s: float) -> bool:
        """Wait until a replica's condition has changed; say whether that may have helped."""
        now_s = self._clock()
        hopeful = tries.unnoticed() or self._fleet.hopeful(models)
        if not tries.may_wait or now_s >= deadline_s or not hopeful:
            return False
        try:
            async with asyncio.timeout(deadline_s - now_s):
                await self._fleet.changed()
        except TimeoutError:
            return False
        return True

    async def _turn(
        self, models: Sequence[str], wish: Wish, tries: Tries, since_s: float
    ) -> Lease | None:
        """Wait in the first queue that takes the request; None where its replica went meanwhile.

        Raises:
            ApiError: none takes it, or it was turned out of it.
        """
        refusals: dict[str, Refused] = {}
        asked_s, woken, priority = self._clock(), asyncio.Event(), wish.priority()
        for model in models:
            queue = self._fleet.queue(model)
            if queue is None:
                continue
            patience_s = queue.limits.begin_within_s - (asked_s - wish.arrived_s)
            if wish.goes_on:
                patience_s = tries.patience_s
            ticket = queue.join(
                priority,
                patience_s,
                woken.set,
                must=tries.failure is not None,
                since_s=since_s,
            )
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
                        since_s=since_s,
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

    def _nobody(self, models: Sequence[str], stay: Stay | None) -> ModelBusy | NoModelAvailable:
        if stay is not None and stay.busy is not None:
            return stay.busy
        late = stay.given_up if stay is not None else ()
        self._fleet.turned_away(models, Outcome.UNAVAILABLE)
        now_s = self._clock()
        whys = [f"{model} was not loaded within residency.load_wait_s" for model in late]
        others = [model for model in models if model not in late]
        why = "; ".join([*whys, self._fleet.why_not(others, now_s)] if others else whys)
        error = NoModelAvailable(
            f"No model that may serve this request is up: {why}. GET /ready says more."
        )
        error.retry_after_s = (
            self._fleet.rests_s(models, now_s) or self._reception.retry_after_s(models) or None
        )
        return error


def _counted(lease: Lease, wish: Wish, tries: Tries) -> Lease:
    if tries.outcome is not None and not wish.goes_on:
        lease.metrics.tried_after(tries.outcome)
    return lease
