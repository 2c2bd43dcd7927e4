"""From a decoded request to an answer: weigh, choose, lease, relay, and the next candidate.

Owns: the order of these, and how an answer that has begun ends when nobody can go on with it: with
an error event.
Must not: decide what a request is, which model is best or what a failure means; parse bodies;
speak ASGI.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from engines.protocol.events import write_event
from gateway.asking import Incoming
from gateway.attempting import Attempts
from gateway.domain import Outcome
from gateway.errors import ApiError, ContextLengthExceeded, GatewayStopping
from gateway.fleet import Fleet, Lease
from gateway.fleet.hedges import Hedge
from gateway.fleet.lending import Lender, Wish
from gateway.fleet.staying import Heart
from gateway.fleet.tries import Tries
from gateway.hedging import Hedger, Telling
from gateway.observe.account import Account
from gateway.relay.asked import choices_of
from gateway.relay.continuation import check
from gateway.relay.exchange import Reply
from gateway.relay.failures import Failure
from gateway.relay.patience import PatientReply
from gateway.relay.shadows import Nowhere, Shadows
from gateway.relay.told import Told
from gateway.selection import Selector
from gateway.settling import Decided, Settler


class Dispatcher:
    """Carries requests from the front door to an engine and back."""

    def __init__(
        self,
        *,
        selector: Selector,
        settler: Settler,
        fleet: Fleet,
        lender: Lender,
        attempts: Attempts,
        hedges: Mapping[str, Hedge],
        shadows: Shadows,
        clock: Callable[[], float],
        queue_timeout_s: float,
    ) -> None:
        self._selector = selector
        self._settler = settler
        self._fleet = fleet
        self._lender = lender
        self._attempts = attempts
        self._hedger = Hedger(attempts, lender, hedges, clock)
        self._shadows = shadows
        self._clock = clock
        self._queue_timeout_s = queue_timeout_s

    async def dispatch(self, incoming: Incoming, reply: Reply) -> None:
        """Answer a request. Cancellation stops the engine at once.

        Raises:
            ApiError: nothing was sent; the caller renders it. Later failures end the stream.
        """
        decided = self._settler.plainly(incoming) or await self._settler.settle(incoming)
        if decided.shadow is not None:
            copy = partial(self._copy, decided.shadow, incoming, decided)
            self._shadows.start(decided.shadow, copy, len(incoming.body))
        told = Told(choices=choices_of(incoming.request), keeps=incoming.streams)
        patient = None
        held_s = self._lender.heartbeat_after_s
        if incoming.streams and held_s is not None:
            begun_s = incoming.arrived_s
            patient = PatientReply(reply, decided.headers, self._clock, begun_s, held_s)
        telling = Telling(told, patient or reply)
        try:
            await self._answer(incoming, decided, telling, patient)
        except ApiError as error:
            if not reply.started:
                raise
            await reply.write(write_event(error.body()), more=False)
        except asyncio.CancelledError:
            # The gateway ends; or the client has gone, then nobody hears this.
            told = telling.told
            opened = patient is not None and patient.opened
            if (opened or told.head is not None) and reply.started and not told.ended:
                await reply.write(write_event(GatewayStopping().body()), more=False)
            raise

    async def _answer(
        self, incoming: Incoming, decided: Decided, telling: Telling, heart: Heart | None
    ) -> None:
        """Try one replica after the other until the answer is whole.

        Raises:
            ApiError: nobody could give it, or its rest.
        """
        models, tries, reply = decided.models, Tries(self._queue_timeout_s), telling.reply
        while True:
            broken = telling.told.breaks > 0
            wish = Wish(
                incoming.arrived_s,
                incoming.priority,
                goes_on=broken,
                load=decided.load,
                heart=None if broken else heart,
            )
            lease = self._lender.at_once(models, wish, tries)
            if lease is None:
                lease = await self._lender.in_time(models, wish, tries)
            hedge = self._hedger.hedge_of(lease.model, reply)
            if hedge is None:
                told = telling.told
                failure = await self._attempts.make(lease, incoming, decided, told, reply)
            else:
                lease, failure = await self._hedger.make(
                    hedge, lease, incoming, decided, telling, tries=tries
                )
            if failure is None:
                self._whole(lease, incoming, decided, tries, broken=broken)
                return
            tries.failed(lease.replica, failure, lease.queued_s)
            if isinstance(failure.error, ContextLengthExceeded) and not reply.started:
                longer = self._selector.longer(models, lease.model)
                if longer and not tries.promoted:
                    models, tries.promoted = longer, True
                    continue
            if failure.final or tries.exhausted:
                raise failure.error
            # What was never sent costs nobody anything, however often it is tried.
            if not failure.unreached and not await self._lender.may_retry():
                raise failure.error
            if reply.started:
                models = self._going_on(lease, incoming, telling.told, tries, failure)

    def _going_on(
        self, lease: Lease, incoming: Incoming, told: Told, tries: Tries, failure: Failure
    ) -> tuple[str, ...]:
        """Return who may go on with a stream that has broken.

        Raises:
            ApiError: nobody may, or can.
        """
        plan = lease.replica.plan
        models, tries.patience_s = (lease.model,), plan.continue_wait_s
        ended = told.finished >= told.choices  # its text is whole: another would lengthen it
        able = plan.continue_wait_s and self._fleet.may_serve(models, tries.ruled_out)
        if ended or not able:
            raise failure.error
        check(incoming.request, told, exact_seams=plan.exact_seams)
        told.breaks += 1
        return models

    def _whole(
        self, lease: Lease, incoming: Incoming, decided: Decided, tries: Tries, *, broken: bool
    ) -> None:
        """Learn from an answer that is whole."""
        self._settler.answered(incoming, decided, lease.model, lease.account, broken=broken)
        if lease.model != decided.models[0]:
            lease.metrics.fell_back(tries.why_another)

    async def _copy(self, model: str, incoming: Incoming, decided: Decided) -> Outcome:
        """Send the request to a model whose answer nobody gets."""
        account = Account(self._clock, self._clock())
        lease = await self._lender.another(model, account, (), decided.load)
        if lease is None:
            return Outcome.UNAVAILABLE
        told = Told(choices=choices_of(incoming.request), keeps=False)
        copy = replace(incoming, request_id=f"{incoming.request_id}-shadow")
        failure = await self._attempts.make(lease, copy, decided, told, Nowhere())
        return Outcome.OK if failure is None else failure.outcome
