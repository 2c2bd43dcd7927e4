"""From a decoded request to an answer: weigh, choose, lease, relay, and the next candidate.

Owns: the order of these, which failures are tried elsewhere, and what the client is told.
Must not: decide what a request is or which model is best; parse bodies; speak ASGI.

| what happened before the client got a byte | then |
|---|---|
| no connection to a server | the next candidate; the server counts as down until looked at |
| no connection to a child | the next candidate, or wait for it: nothing was sent, it may be back |
| the engine died under the request | one more candidate: what kills two engines may kill all |
| 429, 5xx, or our key, URL or model name refused | the next candidate |
| any other 4xx | the client gets it |
| silence beyond the first-byte deadline | 504: it has cost enough time already |
| nobody is up, but somebody may soon be | wait, at most `queue_timeout_s` in all |

A stream that the gateway's own end cuts off ends with an error event, as one whose engine died.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from engines.protocol.requests import ChatRequest, CompletionRequest, EmbeddingRequest
from gateway.classify import Weigher
from gateway.domain import Asked, Choice, Endpoint, Outcome, Weighed
from gateway.errors import (
    ApiError,
    EngineFailed,
    EngineTimeout,
    GatewayStopping,
    NoModelAvailable,
)
from gateway.fleet import Fleet, Lease, Replica
from gateway.fleet.care import Carer
from gateway.observe.account import Account
from gateway.relay.answers import foreign_error
from gateway.relay.bodies import edit_request
from gateway.relay.client import (
    DeadlinePassed,
    Unreachable,
    UpstreamAnswer,
    UpstreamClient,
    UpstreamRequest,
)
from gateway.relay.connection import ConnectionLost
from gateway.relay.exchange import Headers, Reply, as_api_error, relay_stream, relay_whole
from gateway.relay.stream import StreamEditor
from gateway.selection import Selector

_MAX_ERROR_BYTES = 1024 * 1024
_MAX_DEATHS = 2
_UNREACHED = "The engine cannot be reached, and no other that may serve this request is up."

PATHS = {
    Endpoint.CHAT: "/chat/completions",
    Endpoint.COMPLETIONS: "/completions",
    Endpoint.EMBEDDINGS: "/embeddings",
}


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request that was decoded: its bytes as they came, and what they say."""

    endpoint: Endpoint
    body: bytes
    request: ChatRequest | CompletionRequest | EmbeddingRequest
    headers: Sequence[tuple[bytes, bytes]]
    request_id: str
    arrived_s: float

    @property
    def streams(self) -> bool:
        """Whether the client asked for an event stream."""
        return bool(getattr(self.request, "stream", None))


@dataclass(frozen=True, slots=True)
class Decided:
    """What was chosen for a request, and the response headers that say so."""

    models: tuple[str, ...]
    headers: tuple[tuple[bytes, bytes], ...]


class _TryNext(Exception):
    """This candidate failed before the client got a byte; `error` is what it would be told."""

    def __init__(self, error: ApiError, *, died: bool = False, unreached: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.died = died
        self.unreached = unreached


class _Tries:
    """What one request has tried, and how long it may still wait.

    A child of ours that could not be reached got nothing of the request: it is avoided only until
    its end has been noticed, and may be waited for. Any other failure rules its replica out.
    """

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self.failure: ApiError | None = None
        self.deaths = 0
        self._ruled_out: set[Replica] = set()
        # Not reached -> how often it had been started again by then.
        self._unreached: dict[Replica, int] = {}

    def failed(self, lease: Lease, tried: _TryNext) -> None:
        """Note that the replica failed."""
        replica = lease.replica
        self.failure = tried.error
        self.deaths += tried.died
        self.patience_s -= lease.queued_s
        if tried.unreached and replica.plan.launch is not None:
            self._unreached[replica] = replica.restarts
        else:
            self._unreached.pop(replica, None)
            self._ruled_out.add(replica)

    @property
    def may_wait(self) -> bool:
        """Whether nothing has failed, or a child that may be back."""
        return self.failure is None or bool(self._unreached)

    def unnoticed(self) -> bool:
        """Say whether a child that could not be reached still counts as ready."""
        return any(self._stale(replica) for replica in self._unreached)

    def avoided(self) -> set[Replica]:
        """Return whom this request does not go to now."""
        return self._ruled_out | {r for r in self._unreached if self._stale(r)}

    def _stale(self, replica: Replica) -> bool:
        return replica.ready and replica.restarts == self._unreached[replica]


class Dispatcher:
    """Carries requests from the front door to an engine and back."""

    def __init__(
        self,
        *,
        selector: Selector,
        weigher: Weigher,
        fleet: Fleet,
        carer: Carer,
        client: UpstreamClient,
        clock: Callable[[], float],
        queue_timeout_s: float,
    ) -> None:
        self._selector = selector
        self._weigher = weigher
        self._fleet = fleet
        self._carer = carer
        self._client = client
        self._clock = clock
        self._queue_timeout_s = queue_timeout_s

    async def dispatch(self, incoming: Incoming, reply: Reply) -> None:
        """Answer a request. Cancellation stops the engine at once.

        Raises:
            ApiError: nothing was sent; the caller renders it. Later failures end the stream.
        """
        decided = self._decide(incoming)
        tries = _Tries(patience_s=self._queue_timeout_s)
        while True:
            lease = await self._lease(decided.models, incoming, tries)
            if lease is None:
                if tries.failure is not None:
                    raise tries.failure
                self._fleet.turned_away(decided.models)
                raise NoModelAvailable(self._nobody(decided.models))
            try:
                await self._attempt(lease, incoming, decided, reply)
            except _TryNext as tried:
                tries.failed(lease, tried)
                if tries.deaths >= _MAX_DEATHS:
                    raise tried.error from None
            else:
                return

    def _decide(self, incoming: Incoming) -> Decided:
        request = incoming.request
        weighed = None
        headers: tuple[tuple[str, str], ...] = ()
        if self._selector.meaning(request.model).model is None:
            weighed = self._weigh(incoming)
            headers = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in incoming.headers)
        asked = Asked(request.model, incoming.endpoint, headers)
        choice = self._selector.choose(asked, weighed, self._fleet.status())
        return Decided(choice.models, _decision_headers(choice, weighed))

    def _weigh(self, incoming: Incoming) -> Weighed:
        request = incoming.request
        if isinstance(request, ChatRequest):
            return self._weigher.weigh_chat(request)
        if isinstance(request, CompletionRequest):
            return self._weigher.weigh_completion(request)
        return self._weigher.weigh_embedding(request)

    async def _lease(
        self, models: Sequence[str], incoming: Incoming, tries: _Tries
    ) -> Lease | None:
        """Return a lease on the first model that has a ready replica; wait where that may help."""
        asked_s = self._clock()
        deadline_s = asked_s + tries.patience_s
        retried = tries.failure is not None
        while True:
            now_s, avoid = self._clock(), tries.avoided()
            for model in models:
                account = Account(self._clock, incoming.arrived_s, retried=retried)
                lease = self._fleet.lease(model, account, queued_s=now_s - asked_s, avoid=avoid)
                if lease is not None:
                    return lease
            hopeful = tries.unnoticed() or self._fleet.hopeful(models)
            if not tries.may_wait or now_s >= deadline_s or not hopeful:
                return None
            try:
                async with asyncio.timeout(deadline_s - now_s):
                    await self._fleet.changed()
            except TimeoutError:
                return None

    async def _attempt(
        self, lease: Lease, incoming: Incoming, decided: Decided, reply: Reply
    ) -> None:
        """Use one replica; the lease ends here whatever happens."""
        outcome = Outcome.CANCELLED
        try:
            outcome = await self._exchange(lease, incoming, decided, reply)
        except ConnectionLost as error:
            outcome = Outcome.ENGINE_ERROR
            self._carer.suspect(lease.replica, str(error), unreachable=False)
            raise _TryNext(as_api_error(error), died=True) from None
        except Unreachable as error:
            outcome = Outcome.UNAVAILABLE
            self._carer.suspect(lease.replica, f"cannot connect: {error}", unreachable=True)
            raise _TryNext(EngineFailed(_UNREACHED), unreached=True) from None
        except DeadlinePassed as error:
            outcome = Outcome.TIMEOUT
            if error.what == "connection":
                self._carer.suspect(lease.replica, str(error), unreachable=True)
                raise _TryNext(as_api_error(error)) from None
            raise as_api_error(error) from None
        except ApiError as error:
            theirs = error.fault == "client"
            outcome = Outcome.CLIENT_ERROR if theirs else Outcome.ENGINE_ERROR
            if theirs or isinstance(error, EngineTimeout):
                raise
            self._carer.suspect(lease.replica, error.message, unreachable=False)
            raise _TryNext(error) from None
        finally:
            lease.end(outcome)

    async def _exchange(
        self, lease: Lease, incoming: Incoming, decided: Decided, reply: Reply
    ) -> Outcome:
        plan, account = lease.replica.plan, lease.account
        answer = await self._send(lease, incoming)
        try:
            if answer.status != 200:
                raise foreign_error(answer.status, await answer.read(_MAX_ERROR_BYTES))
            headers: Headers = (
                (b"x-weighbridge-model", _header(plan.model)),
                (b"x-weighbridge-replica", _header(f"{plan.engine}/{plan.replica}")),
                *decided.headers,
            )
            kind = answer.header(b"content-type") or b""
            if kind.startswith(b"text/event-stream"):
                editor = _editor(incoming, account, plan.model)
                try:
                    return await relay_stream(answer, reply, editor, account, headers)
                except asyncio.CancelledError:
                    # The gateway ends; or the client has gone, then nobody hears this.
                    if reply.started and not editor.whole:
                        await reply.write(editor.error(GatewayStopping()), more=False)
                    raise
            return await relay_whole(answer, reply, account, plan.model, headers)
        finally:
            answer.release()

    async def _send(self, lease: Lease, incoming: Incoming) -> UpstreamAnswer:
        plan, request = lease.replica.plan, incoming.request
        wants_usage = isinstance(request, EmbeddingRequest) or request.wants_usage()
        body = edit_request(
            incoming.body,
            model=None if request.model == plan.upstream_model else plan.upstream_model,
            ask_usage=incoming.streams and not wants_usage,
        )
        path = PATHS[incoming.endpoint]
        sent = UpstreamRequest("POST", path, body, (("x-request-id", incoming.request_id),))
        lease.account.forwarded_s = self._clock()
        return await self._client.send(plan.address, sent, lease.replica.deadlines)

    def _nobody(self, models: Sequence[str]) -> str:
        why = self._fleet.why_not(models)
        return f"No model that may serve this request is up: {why}. GET /ready says more."


def _editor(incoming: Incoming, account: Account, served: str) -> StreamEditor:
    request = incoming.request
    if isinstance(request, EmbeddingRequest):
        return StreamEditor(account, served=served, wants_usage=True)
    prompts = 1
    if isinstance(request, CompletionRequest) and isinstance(request.prompt, list):
        ids = all(isinstance(item, int) for item in request.prompt)
        prompts = 1 if ids else len(request.prompt)
    choices = (request.n or 1) * max(1, prompts)
    return StreamEditor(account, served=served, wants_usage=request.wants_usage(), choices=choices)


def _decision_headers(choice: Choice, weighed: Weighed | None) -> tuple[tuple[bytes, bytes], ...]:
    told = [(b"x-weighbridge-rule", _header(choice.rule))]
    if weighed is not None:
        told.append((b"x-weighbridge-language", _header(weighed.language)))
        told.append((b"x-weighbridge-task", _header(weighed.task)))
    return tuple(told)


def _header(text: str) -> bytes:
    """Return a header's value: printable ASCII stays, anything else is percent-encoded."""
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    return quote(text, safe=" /:.-_").encode("ascii")
