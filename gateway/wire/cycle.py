"""One request on a connection and its answer: what an application calls, by ASGI or at once.

uvicorn's own writes twice for each answer, which wakes the client twice, and does more for each
request; see docs/decisions/0041.

Owns: the messages, how an answer's head and body are written, when its connection is kept.
Must not: read from the connection or keep time; `line` and `bounds` beside it do.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from engines.asgi import ANSWER, FRAMING, ON_DEPARTURE, TASK, Head

_log = logging.getLogger("uvicorn.error")
_NO_BODY = frozenset({204, 304})


class Line(Protocol):
    """The connection, as far as a request on it needs one."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: FlowControl

    @property
    def common_headers(self) -> bytes:
        """The lines that every answer has."""

    def on_response_complete(self) -> None:
        """Take the next request."""

    def read_on(self) -> None:
        """Read what the client sends, if there is room for more of it."""

    def part(self) -> None:
        """Close once the client has read the answer; what it still sends is dropped."""


class Cycle:
    """A request and its answer: the connection feeds it, ASGI calls `receive` and `send`.

    The head of an answer waits for the first part of its body, as ASGI wants it. Without
    `in_chunks` (HTTP/1.0) a body of unknown length ends with its connection.
    """

    __slots__ = (
        "_chunked",
        "_departure",
        "_framed",
        "_head",
        "_head_only",
        "_in_chunks",
        "_left_bytes",
        "_line",
        "_news",
        "_waiter",
        "body",
        "disconnected",
        "expects_continue",
        "headers",
        "keep_alive",
        "more_body",
        "more_headers",
        "response_complete",
        "response_started",
        "status",
        "task",
    )

    def __init__(
        self,
        line: Line,
        *,
        head_only: bool,
        keep_alive: bool,
        expects_continue: bool,
        in_chunks: bool = True,
    ) -> None:
        self._line = line
        self._head_only = head_only
        self._in_chunks = in_chunks
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.body = b""
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.task: asyncio.Task[None] | None = None
        self.status = 0
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.more_headers: Sequence[tuple[bytes, bytes]] = ()
        self._departure: Callable[[], None] | None = None
        self._head = b""
        self._framed = False
        self._chunked = False
        self._left_bytes: int | None = 0  # None: as many as come
        self._news = False
        self._waiter: asyncio.Future[None] | None = None

    # Called by the connection

    def came(self, body: bytes) -> None:
        """Take a part of the request's body."""
        self.body = self.body + body if self.body else body
        self._tell()

    def ended(self) -> None:
        """Note that the request is whole."""
        self.more_body = False
        self._tell()

    def gone(self) -> None:
        """Note that the client has gone. Idempotent."""
        if self.response_complete or self.disconnected:
            return
        self.disconnected = True
        self._tell()
        if self._departure is not None:
            self._departure()

    def on_departure(self, call: Callable[[], None] | None) -> None:
        """Have something called when the client goes before its answer is whole, or nothing."""
        self._departure = call
        if call is not None and self.disconnected:
            call()

    def _tell(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Called by the application

    async def run(self, app: ASGIApp, scope: Scope, running: "set[asyncio.Task[None]]") -> None:
        """Run the application; what it raises or leaves undone ends the connection.

        The task is among those that are `running`, until it is over.
        """
        scope[ON_DEPARTURE] = self.on_departure
        scope[ANSWER] = self
        scope[TASK] = self.task
        try:
            await app(scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - the root of a task
            _log.exception("the application has failed")
        finally:
            if self.task is not None:
                running.discard(self.task)
            if not self.response_complete and not self.disconnected:
                self._line.transport.close()

    async def receive(self) -> Message:
        """Wait for a part of the body, or for the client's going or the answer's end."""
        line = self._line
        if self.expects_continue and not line.transport.is_closing():
            self.expects_continue = False
            line.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self._news and not self.disconnected and not self.response_complete:
            line.read_on()
            self._waiter = line.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        self._news = False
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def whole_request(self) -> bytes | None:
        """Return the request's body, if all of it has come before any was asked for; else None."""
        if self.more_body or not self._news or self.disconnected or self.response_complete:
            return None
        self._news = False
        self._line.read_on()  # else nobody would notice that the client goes
        body, self.body = self.body, b""
        return body

    async def send(self, message: Message) -> None:
        """Send the head or a part of the body: `start` and `write` as ASGI has them.

        Raises:
            RuntimeError: as they say, or it is another message.
        """
        kind = message["type"]
        if kind == "http.response.body":
            await self.write(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start":
            await self.start(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"The message {kind} is out of turn.")

    @property
    def started(self) -> bool:
        """Whether the answer has begun."""
        return self.response_started

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Begin the answer; its head goes with the first part of its body.

        Raises:
            RuntimeError: it has begun, or a header has a line's end.
        """
        if self.disconnected:
            return
        if self.response_started:
            raise RuntimeError("The start of an answer is out of turn.")
        self.response_started = True
        self.expects_continue = False
        self.status, self.headers = status, headers
        self._begin(status, headers)

    def _begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Put the head together, but for what its body's first part will say of the rest.

        What a `Head` has was looked at when it was made.
        """
        more = self.more_headers
        if type(headers) is Head:
            lines, own = headers.lines, more
        else:
            lines, own = b"", (*headers, *more)
            self._frame_by(headers)
        added = b"".join([b"%b: %b\r\n" % row for row in own])
        # A line's end inside a header would begin another header, or the body.
        if added.count(b"\n") != len(own) or added.count(b"\r") != len(own) or b"\0" in added:
            raise RuntimeError("A header has a line's end or a zero in it.")
        if not self.keep_alive and b"\nconnection: " not in b"\n" + added:
            added += b"connection: close\r\n"
        self._head = STATUS_LINE[status] + lines + added

    def _frame_by(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Take what an application says of its body's length and of its connection."""
        for name, value in headers:
            if name not in FRAMING:
                continue
            if name == b"content-length":
                self._framed, self._left_bytes = True, int(value)
            elif name == b"connection":
                self.keep_alive = self.keep_alive and b"close" not in value.lower()
            else:
                self._framed = self._chunked = True

    def _headed(self, body: bytes, *, more: bool) -> bytes:
        """Return the head and the answer's first part; where all of it is here, its length."""
        head, self._head = self._head, b""
        framing = b""
        if not self._framed and self.status not in _NO_BODY and not self._head_only:
            if not more:
                framing, self._left_bytes = b"content-length: %d\r\n" % len(body), len(body)
            elif self._in_chunks:
                framing, self._chunked = b"transfer-encoding: chunked\r\n", True
            else:
                self._left_bytes = None
        first = self._in_frame(body, more=more)
        return b"%b%b%b\r\n%b" % (head, framing, self._line.common_headers, first)

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body, once the client takes more; `more=False` ends the answer.

        Raises:
            RuntimeError: out of turn, or not as long as the content-length says.
        """
        flow = self._line.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected:
            return
        if not self.response_started or self.response_complete:
            raise RuntimeError("A part of an answer is out of turn.")
        body = self._headed(body, more=more) if self._head else self._in_frame(body, more=more)
        transport = self._line.transport
        if body:
            transport.write(body)
        if not more:
            self.response_complete = True
            self._tell()
            if not self.keep_alive:
                (self._line.part if self.more_body else transport.close)()
            self._line.on_response_complete()

    def at_once(self, body: bytes) -> bool:
        """Send a further part if the client takes it now; False: nothing is done, `write` it."""
        line = self._line
        if self._head or not self._chunked or self._head_only or self.response_complete:
            return False
        if self.disconnected or line.flow.write_paused:
            return False
        line.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    def _in_frame(self, body: bytes, *, more: bool) -> bytes:
        if self._head_only:
            body, self._left_bytes = b"", 0
        elif self._chunked:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if not more:
                body += b"0\r\n\r\n"
        elif self._left_bytes is not None:
            self._left_bytes -= len(body)
            if self._left_bytes < 0 or (self._left_bytes and not more):
                raise RuntimeError("The body is not as long as its content-length.")
        return body
