"""The server's side of HTTP/1.1, before a request is one: bounds, and the words of a refusal.

Owns: how large a path and its headers may be; how slowly a client may send and read, and how many
may be connected; the answer to bytes that are no request; requests that offer to go on in another
protocol, which we decline.
Must not: know endpoints; what is a request goes to `gateway.middleware`.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import (
    ApiError,
    HeadTooLarge,
    InvalidRequest,
    RequestTimeout,
    TooManyConnections,
)
from gateway.rendering import headers_of

MAX_HEAD_BYTES = 64 * 1024
_access = logging.getLogger("weighbridge.access")


class _TooLarge(Exception):
    """Raised inside the parser, which then stops."""


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one client may take of the gateway.

    A head has `head_s` seconds, from the connection's first moment or the head's first byte. Of a
    body `BODY_STEP_BYTES` or its end must come every `body_s`. A client that reads nothing of what
    waits for it for `unread_s` is cut off.
    """

    head_s: float = 10
    body_s: float = 30
    unread_s: float = 60
    connections: int = 4_096


BODY_STEP_BYTES = 64 * 1024


def protocol(limits: WireLimits) -> Callable[..., "HttpProtocol"]:
    """Return what uvicorn makes a connection's protocol with."""

    def make(*args: Any, **options: Any) -> HttpProtocol:
        return HttpProtocol(*args, limits=limits, **options)

    return make


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which has no limits of its own, with some; refusals in OpenAI's shape.

    One timer for each connection looks at how it receives: one for each request would cost more.

    | state | left by | at most |
    |---|---|---|
    | a head is awaited (the first), or has begun | its end -> body | `head_s` |
    | body | its end -> answering; a step of it -> body | `body_s` |
    | answering, idle | the first byte of a head -> head | uvicorn's keep-alive |
    | unread: so much waits for the client that the rest is held back | it reads | `unread_s` |
    """

    def __init__(self, *args: Any, limits: WireLimits | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits or WireLimits()
        self._since_s: float | None = None  # when what is awaited of the client began
        self._body_bytes = 0
        self._receiving: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it
        if len(self.connections) > self._limits.connections:
            self._refuse(
                TooManyConnections(
                    f"{self._limits.connections} connections are open, as many as "
                    "gateway.max_connections allows. Try again later."
                )
            )
            return
        self._since_s = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        for timer in (self._receiving, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Hold the answer back, for a while."""
        super().pause_writing()
        self._unread = self.loop.call_later(self._limits.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        if self._unread is not None:
            self._unread.cancel()
        super().resume_writing()

    def _look(self) -> None:
        """End a connection whose client is too slow; else look again when it could be."""
        limits, now_s = self._limits, self.loop.time()
        if self.flow.read_paused and self._since_s is not None:
            self._since_s = now_s  # it is we who do not read
        limit_s = limits.head_s if self._head_awaited else limits.body_s
        if self._since_s is None or now_s < self._since_s + limit_s:
            # What is awaited may be another thing soon, with another limit.
            next_s = now_s + min(limits.head_s, limits.body_s)
            due_s = next_s if self._since_s is None else min(next_s, self._since_s + limit_s)
            self._receiving = self.loop.call_at(due_s, self._look)
            return
        what = "request's head" if self._head_awaited else "request's body"
        self._refuse(RequestTimeout(f"The {what} did not come in time ({limit_s:g} s)."))

    @property
    def _head_awaited(self) -> bool:
        return self._head_open or self.cycle is None

    _head_open = False
    _head_bytes = 0
    _waiting_bytes = 0  # received for a head whose end has not come: the parser holds them
    _head_known = False

    def data_received(self, data: bytes) -> None:
        """Parse; a head that never ends is refused once it is too large."""
        self._unset_keepalive_if_required()
        was_open = self._head_open
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if was_open and self._head_open:
            self._waiting_bytes += len(data)
            if self._waiting_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(_too_large())

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                self._decline_upgrade()
                data = data[offer.args[0] :]
            else:
                return

    def _decline_upgrade(self) -> None:
        """Go on in HTTP/1.1 after a head that offers more, as Java's client does with every POST.

        httptools takes such a request to have no body. A new parser is told the parts of the head
        that say how long the body is, and reads on.
        """
        head = [self.scope["method"].encode() + b" / HTTP/1.1"]
        for name, value in self.headers:
            if name in (b"content-length", b"transfer-encoding"):
                head.append(name + b": " + value)
        self.parser = httptools.HttpRequestParser(self)
        self._head_known = True
        try:
            self.parser.feed_data(b"\r\n".join((*head, b"", b"")))
        finally:
            self._head_known = False

    def on_message_begin(self) -> None:
        """Count anew."""
        if self._head_known:
            return
        self._head_open = True
        self._since_s = self.loop.time()
        self._head_bytes = self._waiting_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count and keep a part of the path."""
        if self._head_known:
            return
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count and keep a header; one after the body (a trailer) counts as well."""
        if self._head_known:
            return
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request over."""
        if self._head_known:
            return
        self._head_open = False
        self._since_s = self.loop.time()
        self._body_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body; enough of it buys time for more."""
        self._body_bytes += len(body)
        if self._body_bytes >= BODY_STEP_BYTES:
            self._body_bytes = 0
            self._since_s = self.loop.time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body, unless it only seems to have none: see `_decline_upgrade`."""
        if not self.parser.should_upgrade():
            self._since_s = None
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused, and close."""
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_too_large())
        else:
            self._refuse(InvalidRequest(f"{msg} This port speaks HTTP/1.1.", code="no_http"))

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _TooLarge

    def _refuse(self, error: ApiError) -> None:
        """Answer and close; in the middle of another answer only close."""
        if self._may_answer():
            body = error.body()
            request_id = os.urandom(12).hex()
            _access.info("no request %d %s id=%s", error.status, error.code, request_id)
            headers = headers_of(error) | {
                "content-length": str(len(body)),
                "connection": "close",
                "x-request-id": request_id,
            }
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(STATUS_LINE[error.status] + lines.encode() + b"\r\n" + body)
        self.transport.close()

    def _may_answer(self) -> bool:
        """Say whether an answer now would be taken for that of the request which is refused."""
        cycle = self.cycle
        if cycle is None:
            return True
        if cycle.more_body:
            return not (cycle.response_started or self.pipeline)
        return cycle.response_complete


def _too_large() -> ApiError:
    return HeadTooLarge(f"Path and headers are larger than {MAX_HEAD_BYTES} bytes. Send less.")
