"""The endpoints that ask a model for something: one table, one handler.

A new endpoint is a row in `GENERATION`. They are plain ASGI: a FastAPI body costs more than the
whole relay.

Owns: the table, decoding, the reply.
Must not: choose or relay; `gateway.dispatch` does.
"""

import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.asgi import AtOnce, BodyTooLong, ClientGone, Departure, answer_of, read_body
from engines.protocol.answers import (
    ChatAnswer,
    ChatChunk,
    EmbeddingAnswer,
    RerankAnswer,
    ScoreAnswer,
    TextAnswer,
)
from engines.protocol.decoding import decode_request
from engines.protocol.readings import EmbeddingRequest, RerankRequest, ScoreRequest
from engines.protocol.requests import ChatRequest, CompletionRequest
from gateway.api.dialects import told, translated
from gateway.asking import Incoming
from gateway.domain import Endpoint
from gateway.errors import ApiError, BodyTooLarge
from gateway.relay.exchange import Headers, Reply
from gateway.rendering import send_error
from gateway.responses import ResponsesAnswer, ResponsesEvent, ResponsesRequest
from gateway.serving import Fronted


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """One endpoint: where it is, what its body and its answer are, what it does in one line.

    `event` is what the data of a stream's events are, None where nothing is streamed; `operation`
    its name in the description, where another row has the same endpoint.
    """

    path: str
    endpoint: Endpoint
    body: type[Any]
    answer: type[Any]
    event: type[Any] | None
    summary: str
    operation: str = ""


GENERATION = (
    GenerationRow(
        "/v1/chat/completions",
        Endpoint.CHAT,
        ChatRequest,
        ChatAnswer,
        ChatChunk,
        "Answer a conversation.",
    ),
    GenerationRow(
        "/v1/responses",
        Endpoint.CHAT,
        ResponsesRequest,
        ResponsesAnswer,
        ResponsesEvent,
        "Answer a conversation, as OpenAI's Responses API; nothing is stored.",
        operation="responses",
    ),
    GenerationRow(
        "/v1/completions",
        Endpoint.COMPLETIONS,
        CompletionRequest,
        TextAnswer,
        TextAnswer,
        "Complete a text.",
    ),
    GenerationRow(
        "/v1/embeddings",
        Endpoint.EMBEDDINGS,
        EmbeddingRequest,
        EmbeddingAnswer,
        None,
        "Embed texts.",
    ),
    GenerationRow(
        "/v1/rerank",
        Endpoint.RERANK,
        RerankRequest,
        RerankAnswer,
        None,
        "Rank documents by how well they answer a query.",
    ),
    GenerationRow(
        "/v2/rerank",
        Endpoint.RERANK,
        RerankRequest,
        RerankAnswer,
        None,
        "Rank documents, for Cohere's clients.",
        operation="rerank_v2",
    ),
    GenerationRow(
        "/v1/score",
        Endpoint.SCORE,
        ScoreRequest,
        ScoreAnswer,
        None,
        "Score pairs of texts.",
    ),
)


class AsgiReply:
    """A `gateway.relay.exchange.Reply` on an ASGI `send`.

    The head waits for the first part of the body, which says how long the body is where it is all.
    """

    __slots__ = ("_head", "_send", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._head: Message | None = None
        self.started = False

    @property
    def at_once(self) -> AtOnce | None:
        """Nothing: ASGI's `send` may wait."""
        return None

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        self.started = True
        self._head = {"type": "http.response.start", "status": status, "headers": list(headers)}

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body."""
        head, self._head = self._head, None
        if head is not None:
            if not more:
                head["headers"].append((b"content-length", str(len(body)).encode()))
            await self._send(head)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


class Generation:
    """The ASGI application of one row."""

    def __init__(self, row: GenerationRow, live: Fronted) -> None:
        self._row = row
        self._live = live
        self._decoder = msgspec.json.Decoder(row.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, decode, dispatch; answer what is wrong with a request.

        Raises:
            ApiError: an answer had begun, and its stream could not tell.
        """
        arrived_s, answer = time.perf_counter(), answer_of(scope, send)
        reply: Reply = AsgiReply(send) if answer is None else answer
        gateway, asked = self._live.gateway, None
        limit_bytes = gateway.config.file.gateway.body_limit_bytes
        try:
            body = None if answer is None else answer.whole_request()
            if body is None:
                body = await read_body(scope, receive, limit_bytes)
            elif len(body) > limit_bytes:
                raise BodyTooLong
            asked = decode_request(self._decoder, body)
            body, request, reply = translated(body, asked, reply)
            incoming = Incoming(
                endpoint=self._row.endpoint,
                body=body,
                request=request,
                headers=scope["headers"],
                request_id=scope["weighbridge.request_id"],
                arrived_s=arrived_s,
            )
            with Departure(scope, receive):
                await gateway.dispatcher.dispatch(incoming, reply)
        except ClientGone:
            return
        except BodyTooLong:
            await send_error(BodyTooLarge.beyond(limit_bytes), send)
        except ApiError as error:
            if reply.started:
                raise
            await send_error(told(error, asked), send)


class Shortcut:
    """Leads the endpoints that are asked most past the framework, which costs more than they do.

    Everything else, and what is no POST to one of their paths, goes to the framework's application.
    """

    def __init__(self, endpoints: Mapping[str, ASGIApp], others: ASGIApp) -> None:
        self._endpoints = endpoints
        self._others = others

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass a request on; what is to be awaited is what the endpoint returns."""
        app = self._others
        if scope["type"] == "http" and scope["method"] == "POST":
            app = self._endpoints.get(scope["path"], app)
        return app(scope, receive, send)
