"""From a decoded request to an answer: weigh, choose, lease, relay, and the next candidate.

Owns: the order of these, and how an answer that has begun ends when nobody can go on with it: with
an error event.
Must not: decide what a request is, which model is best or what a failure means; parse bodies;
speak ASGI.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import msgspec

from engines.protocol.events import write_event
from gateway.answer_headers import header_value
from gateway.asking import Incoming
from gateway.domain import Endpoint, Outcome
from gateway.errors import (
    ApiError,
    ContextLengthExceeded,
    EngineFailed,
    GatewayStopping,
)
from gateway.fleet import Fleet, Lease
from gateway.fleet.budget import RetryBudget
from gateway.fleet.care import Carer
from gateway.fleet.leasing import Leasing, Wish
from gateway.fleet.tries import Tries
from gateway.observe.account import Account
from gateway.relay.answers import foreign_error
from gateway.relay.asked import choices_of, most_tokens, prioritized, wants_usage
from gateway.relay.bodies import edit_request
from gateway.relay.client import UpstreamAnswer, UpstreamClient, UpstreamRequest
from gateway.relay.continuation import check, count_request, counted, rest_of
from gateway.relay.exchange import Headers, Reply, relay_stream, relay_whole
from gateway.relay.failures import FAILURES, Failure, failure_of
from gateway.relay.rest import asked_rest_s
from gateway.relay.shadows import Nowhere, Shadows
from gateway.relay.stream import StreamEditor
from gateway.relay.told import Told
from gateway.selection import Selector
from gateway.settling import Decided, Settler

_MAX_ERROR_BYTES = 1024 * 1024

PATHS = {
    Endpoint.CHAT: "/chat/completions",
    Endpoint.COMPLETIONS: "/completions",
    Endpoint.EMBEDDINGS: "/embeddings",
    Endpoint.RERANK: "/rerank",
    Endpoint.SCORE: "/score",
}


class Dispatcher:
    """Carries requests from the front door to an engine and back."""

    def __init__(
        self,
        *,
        selector: Selector,
        settler: Settler,
        fleet: Fleet,
        carer: Carer,
        client: UpstreamClient,
        shadows: Shadows,
        clock: Callable[[], float],
        queue_timeout_s: float,
        retry_share: float,
    ) -> None:
        self._selector = selector
        self._settler = settler
        self._fleet = fleet
        self._leasing = Leasing(fleet, clock)
        self._carer = carer
        self._client = client
        self._shadows = shadows
        self._clock = clock
        self._queue_timeout_s = queue_timeout_s
        self._budget = RetryBudget(retry_share)

    async def dispatch(self, incoming: Incoming, reply: Reply) -> None:
        """Answer a request. Cancellation stops the engine at once.

        Raises:
            ApiError: nothing was sent; the caller renders it. Later failures end the stream.
        """
        decided = await self._settler.settle(incoming)
        if decided.shadow is not None:
            copy = partial(self._copy, decided.shadow, incoming, decided)
            self._shadows.start(decided.shadow, copy, len(incoming.body))
        told = Told(choices=choices_of(incoming.request), keeps=incoming.streams)
        try:
            await self._answer(incoming, decided, told, reply)
        except ApiError as error:
            if not reply.started:
                raise
            await reply.write(write_event(error.body()), more=False)
        except asyncio.CancelledError:
            # The gateway ends; or the client has gone, then nobody hears this.
            if told.head is not None and reply.started and not told.ended:
                await reply.write(write_event(GatewayStopping().body()), more=False)
            raise

    async def _answer(self, incoming: Incoming, decided: Decided, told: Told, reply: Reply) -> None:
        """Try one replica after the other until the answer is whole.

        Raises:
            ApiError: nobody could give it, or its rest.
        """
        models, tries = decided.models, Tries(self._queue_timeout_s)
        self._budget.earn()
        while True:
            wish = Wish(
                incoming.arrived_s, incoming.priority, goes_on=told.breaks > 0, load=decided.load
            )
            lease = await self._leasing.lease(models, wish, tries)
            failure = await self._attempt(lease, incoming, decided, told, reply)
            if failure is None:
                self._whole(lease, incoming, decided, tries, told)
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
            if not failure.unreached and not self._budget.spend():
                raise failure.error
            if reply.started:
                plan = lease.replica.plan
                models, tries.patience_s = (lease.model,), plan.continue_wait_s
                if not plan.continue_wait_s or not self._fleet.may_serve(models, tries.ruled_out):
                    raise failure.error
                check(incoming.request, told, exact_seams=plan.exact_seams)
                told.breaks += 1

    def _whole(
        self, lease: Lease, incoming: Incoming, decided: Decided, tries: Tries, told: Told
    ) -> None:
        """Learn from an answer that is whole."""
        broken = told.breaks > 0
        self._settler.answered(incoming, decided, lease.model, lease.account, broken=broken)
        if lease.model != decided.models[0]:
            lease.metrics.fell_back(tries.why_another)

    async def _copy(self, model: str, incoming: Incoming, decided: Decided) -> Outcome:
        """Send the request to a model whose answer nobody gets."""
        account = Account(self._clock, self._clock())
        lease = self._fleet.lease(model, account, load=decided.load)
        if lease is None:
            return Outcome.UNAVAILABLE
        told = Told(choices=choices_of(incoming.request), keeps=False)
        copy = replace(incoming, request_id=f"{incoming.request_id}-shadow")
        failure = await self._attempt(lease, copy, decided, told, Nowhere())
        return Outcome.OK if failure is None else failure.outcome

    async def _attempt(
        self, lease: Lease, incoming: Incoming, decided: Decided, told: Told, reply: Reply
    ) -> Failure | None:
        """Use one replica; the lease ends here whatever happens."""
        outcome, failure = Outcome.CANCELLED, None
        try:
            await self._exchange(lease, incoming, decided, told, reply)
            outcome = Outcome.OK
        except FAILURES as error:
            failure = failure_of(error, begun=reply.started)
            outcome = failure.outcome
            if reply.started:
                lease.metrics.broke()
            if failure.ends:
                self._carer.ending(lease.replica)
            elif failure.blamed:
                self._carer.suspect(lease.replica, failure.reason, unreachable=failure.unreached)
            if failure.error.retry_after_s is not None:
                lease.replica.breaker.rest(failure.error.retry_after_s, self._clock())
        finally:
            lease.end(outcome)
        return failure

    async def _exchange(
        self, lease: Lease, incoming: Incoming, decided: Decided, told: Told, reply: Reply
    ) -> None:
        plan, account, request = lease.replica.plan, lease.account, incoming.request
        changes = None
        if told.spoke:
            tokens = await self._tokens(lease, told)
            told.tokens_before = told.events if tokens is None else len(tokens)
            if told.tokens_before >= (most_tokens(request) or math.inf):
                editor = StreamEditor(account, lease.model, wants_usage(request), told)
                await reply.write(editor.cut_short(), more=False)
                return
            changes = rest_of(incoming.body, request, told, tokens)
        answer = await self._send(lease, incoming, changes)
        try:
            if answer.status != 200:
                body = await answer.read(_MAX_ERROR_BYTES)
                told_rest = answer.header(b"retry-after"), answer.header(b"date")
                raise foreign_error(answer.status, body, asked_rest_s(*told_rest, time.time()))
            headers: Headers = (
                (b"x-weighbridge-model", header_value(lease.model)),
                (b"x-weighbridge-replica", header_value(f"{plan.engine}/{plan.replica}")),
                *decided.headers,
            )
            kind = answer.header(b"content-type") or b""
            if kind.startswith(b"text/event-stream"):
                editor = StreamEditor(account, lease.model, wants_usage(request), told)
                await relay_stream(answer, reply, editor, headers)
            elif reply.started:
                raise EngineFailed("The engine sent no stream where one was to go on.")
            else:
                await relay_whole(answer, reply, account, lease.model, headers)
        finally:
            answer.release()

    async def _tokens(self, lease: Lease, told: Told) -> list[int] | None:
        """Ask an engine for the tokens of what has been told; None where it cannot say."""
        plan = lease.replica.plan
        if plan.tokenize_path is None:
            return None
        body = count_request(plan.upstream_name(lease.model), told.text)
        sent = UpstreamRequest("POST", plan.tokenize_path, body)
        status, answer = await self._client.fetch(plan.address, sent, plan.deadlines)
        return counted(answer) if status == 200 else None

    async def _send(
        self, lease: Lease, incoming: Incoming, changes: Mapping[str, msgspec.Raw] | None
    ) -> UpstreamAnswer:
        plan, request = lease.replica.plan, incoming.request
        name = plan.upstream_name(lease.model)
        body = edit_request(
            incoming.body,
            model=None if request.model == name else name,
            ask_usage=incoming.streams and not wants_usage(request),
            changes=changes,
            without=() if plan.takes_priority or not prioritized(request) else ("priority",),
        )
        path = PATHS[incoming.endpoint]
        sent = UpstreamRequest("POST", path, body, (("x-request-id", incoming.request_id),))
        now_s = lease.account.forwarded_s = self._clock()
        spent_s = now_s - incoming.arrived_s
        return await self._client.send(plan.address, sent, plan.deadlines, spent_s)
