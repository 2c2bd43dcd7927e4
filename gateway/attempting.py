"""One replica's try at a request: what it is sent, how its answer is passed on, how it failed.

Owns: the order of these; the lease's end, and whom to ask for tokens that nobody has told.
Must not: choose a replica, or try another.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from engines.protocol.requests import ChatRequest
from gateway.answer_headers import answer_head
from gateway.asking import Incoming
from gateway.domain import Endpoint, Outcome
from gateway.errors import EngineFailed
from gateway.fleet import Lease, Replica
from gateway.relay.answers import foreign_error
from gateway.relay.asked import most_tokens, prioritized, wants_usage, without_bound
from gateway.relay.bodies import edit_request
from gateway.relay.client import UpstreamClient, UpstreamRequest
from gateway.relay.continuation import count_request, counted, growth_requests, rest_of
from gateway.relay.exchange import Reply, relay_stream, relay_whole
from gateway.relay.failures import FAILURES, Failure, failure_of
from gateway.relay.rest import asked_rest_s
from gateway.relay.stream import StreamEditor
from gateway.relay.told import Told
from gateway.relay.uses import USE_HEADER, Uses
from gateway.settling import Decided

_MAX_ERROR_BYTES = 1024 * 1024
_NULL = msgspec.Raw(b"null")
# How an answer ends of which an engine may have generated more than it could tell.
_CUT = (Outcome.CANCELLED, Outcome.TIMEOUT, Outcome.ENGINE_ERROR, Outcome.HEDGED)


PATHS = {
    Endpoint.CHAT: "/chat/completions",
    Endpoint.COMPLETIONS: "/completions",
    Endpoint.EMBEDDINGS: "/embeddings",
    Endpoint.RERANK: "/rerank",
    Endpoint.SCORE: "/score",
}


class Watch(Protocol):
    """Whoever looks after replicas, and hears how requests fared on them."""

    def suspect(self, replica: Replica, reason: str, *, unreachable: bool) -> None:
        """Note that a request failed on this replica."""

    def ending(self, replica: Replica, life: int) -> None:
        """Note that a replica takes nothing new in this one of its lives."""


class Attempts:
    """Makes them; what they have in common."""

    def __init__(
        self, *, carer: Watch, client: UpstreamClient, uses: Uses, clock: Callable[[], float]
    ) -> None:
        self._carer = carer
        self._client = client
        self._uses = uses
        self._clock = clock

    async def make(
        self, lease: Lease, incoming: Incoming, decided: Decided, told: Told, reply: Reply
    ) -> Failure | None:
        """Use one replica; the lease ends here whatever happens. Return why it failed, or None."""
        outcome: Outcome | None = None
        failure = None
        if lease.replica.tells_uses and lease.use is None:
            lease.use = self._uses.name()
        try:
            await self._exchange(lease, incoming, decided, told, reply)
            outcome = Outcome.OK
        except FAILURES as error:
            failure = failure_of(error, begun=reply.started)
            outcome = failure.outcome
            if reply.started:
                lease.metrics.broke()
            if failure.ends:
                self._carer.ending(lease.replica, lease.life)
            elif failure.blamed:
                self._carer.suspect(lease.replica, failure.reason, unreachable=failure.unreached)
            if failure.error.retry_after_s is not None:
                lease.rest(failure.error.retry_after_s)
        finally:
            outcome = outcome or lease.cancelled_as
            told_all = lease.account.usage is not None or outcome not in _CUT
            if lease.use is None or (told_all and not lease.resent):
                lease.end(outcome)
            else:
                lease.end(outcome, counted=False)
                self._uses.ask(lease.replica.plan, lease.use, lease.count)
        return failure

    async def _exchange(
        self, lease: Lease, incoming: Incoming, decided: Decided, told: Told, reply: Reply
    ) -> None:
        plan, account, request = lease.replica.plan, lease.account, incoming.request
        changes = None
        if told.spoke:
            tokens = await self._tokens(lease, incoming, told)
            told.tokens_before = told.events if tokens is None else len(tokens)
            if told.tokens_before >= (most_tokens(request) or math.inf):
                editor = StreamEditor(account, lease.model, wants_usage(request), told)
                await reply.write(editor.cut_short(), more=False)
                return
            changes = rest_of(incoming.body, request, told, tokens)
        sent = _sent(lease, incoming, changes)
        now_s = account.forwarded_s = self._clock()
        spent_s = now_s - incoming.arrived_s
        answer = await self._client.send(plan.address, sent, plan.deadlines, spent_s)
        lease.resent = answer.resent
        try:
            if answer.status != 200:
                body = await answer.read(_MAX_ERROR_BYTES)
                told_rest = answer.header(b"retry-after"), answer.header(b"date")
                raise foreign_error(answer.status, body, asked_rest_s(*told_rest, time.time()))
            kind = answer.header(b"content-type") or b""
            stream = kind.startswith(b"text/event-stream")
            named = lease.model, plan.engine, plan.replica
            headers = answer_head(*named, decided.headers, stream=stream)
            if stream:
                editor = StreamEditor(account, lease.model, wants_usage(request), told)
                await relay_stream(answer, reply, editor, headers)
            elif reply.started:
                raise EngineFailed("The engine sent no stream where one was to be continued.")
            else:
                await relay_whole(answer, reply, account, lease.model, headers)
        finally:
            answer.release()

    async def _tokens(self, lease: Lease, incoming: Incoming, told: Told) -> list[int] | None:
        """Ask an engine for the tokens of what has been told; None where it cannot say."""
        name, request = lease.replica.plan.upstream_name(lease.model), incoming.request
        if not (told.thought and isinstance(request, ChatRequest)):
            return await self._tokenized(lease, count_request(name, told.text))
        before, grown = growth_requests(incoming.body, request, told, name)
        opening = await self._tokenized(lease, before)
        whole = None if opening is None else await self._tokenized(lease, grown)
        return None if opening is None or whole is None else whole[len(opening) :]

    async def _tokenized(self, lease: Lease, body: bytes) -> list[int] | None:
        plan = lease.replica.plan
        if plan.tokenize_path is None:
            return None
        sent = UpstreamRequest("POST", plan.tokenize_path, body)
        status, answer = await self._client.fetch(plan.address, sent, plan.deadlines)
        return counted(answer) if status == 200 else None


def _sent(
    lease: Lease, incoming: Incoming, changes: Mapping[str, msgspec.Raw] | None
) -> UpstreamRequest:
    """Return what an engine is sent for a request."""
    plan, request = lease.replica.plan, incoming.request
    name = plan.upstream_name(lease.model)
    unbounded = without_bound(request)
    if unbounded:
        changes = {**dict.fromkeys(unbounded, _NULL), **(changes or {})}
    body = edit_request(
        incoming.body,
        model=None if request.model == name else name,
        told=request.model,
        ask_usage=incoming.streams and not wants_usage(request),
        changes=changes,
        without=() if plan.takes_priority or not prioritized(request) else ("priority",),
    )
    headers: tuple[tuple[str, str], ...] = (("x-request-id", incoming.request_id),)
    if lease.use is not None:
        headers = (*headers, (USE_HEADER, lease.use))
    return UpstreamRequest("POST", PATHS[incoming.endpoint], body, headers)
