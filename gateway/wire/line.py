"""A client's connection, as a row of HTTP/1.1 requests: parsed, one after the other, each a task.

In place of uvicorn's protocol, which does more for each request than the rest of the gateway; its
server stays. See docs/decisions/0041.

Owns: parsing, how large a path and its headers may be, pipelining, requests that offer to go on in
another protocol, which we decline.
Must not: keep time (`bounds` beside it does); write answers (`cycle` does); know endpoints.
"""

import asyncio
from collections import deque
from typing import Any
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from gateway.errors import ApiError, HeadTooLarge, InvalidRequest
from gateway.wire.cycle import Cycle

MAX_HEAD_BYTES = 64 * 1024
BODY_STEP_BYTES = 64 * 1024
_MOST_WAITING = 4  # behind them nothing is read, nor noticed that the client goes


class _TooLarge(Exception):
    """Raised inside the parser, which then stops."""


class HttpLine(asyncio.Protocol):
    """One connection; its requests are answered in the order in which they came.

    `since_s` is when what is awaited of the client began: a head, or a step of a body; None while
    nothing is. `idle_since_s` is when the last answer ended, None before it and during a request.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Take what uvicorn's server makes each protocol with."""
        if not config.loaded:
            config.load()
        self.loop = loop or asyncio.get_running_loop()
        self.connections = server_state.connections
        self.cycle: Cycle | None = None
        self.since_s: float | None = None
        self.idle_since_s: float | None = None
        self.head_open = False
        self._app: ASGIApp = config.loaded_app
        self._root_path = config.root_path
        self._app_state = app_state
        self._server_state = server_state
        self._running: Cycle | None = None  # `cycle` is the last that came, and may wait behind it
        self._pipeline: deque[tuple[Cycle, Scope]] = deque()
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._url = b""
        # Of the last request: its URL, and the parts of it; clients ask for the same all the time.
        self._known_url: bytes | None = None
        self._path, self._raw_path, self._query = "", b"", b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects_continue = False
        self._head_bytes = 0
        self._body_bytes = 0
        # Received for a head, or a trailer, whose end has not come: the parser holds them.
        self._waiting_bytes = 0
        self._steps = 0
        self._head_known = False
        self._common: list[tuple[bytes, bytes]] = []
        self._common_lines = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's is one
        self.flow = FlowControl(self.transport)
        self._server, self._client = get_local_addr(self.transport), get_remote_addr(self.transport)
        self._scheme = "https" if is_ssl(self.transport) else "http"
        self.connections.add(self)  # type: ignore[arg-type]  # uvicorn calls `shutdown` alone

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered."""
        self.connections.discard(self)
        if self._running is not None:
            self._running.gone()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self._parser = None

    def pause_writing(self) -> None:
        """Hold the answer back."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self.flow.resume_writing()

    def shutdown(self) -> None:
        """Close, after the answer that has begun: the server ends."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def refuse(self, error: ApiError) -> None:
        """Answer what is no request, and close."""
        raise NotImplementedError

    def part(self) -> None:
        """Close when the client has had the time to read."""
        raise NotImplementedError

    @property
    def waiting(self) -> bool:
        """Whether a request waits behind another."""
        return bool(self._pipeline)

    @property
    def common_headers(self) -> bytes:
        """The lines that every answer has: its date, which the server sets once a second."""
        rows = self._server_state.default_headers
        if rows is not self._common:
            self._common = rows
            self._common_lines = b"".join(b"%b: %b\r\n" % row for row in rows)
        return self._common_lines

    def data_received(self, data: bytes) -> None:
        """Parse; a head or a trailer that never ends is refused once it is too large."""
        idle_since_s, self.idle_since_s = self.idle_since_s, None
        steps = self._steps
        try:
            self._feed(data)
        except httptools.HttpParserError:
            if self._head_bytes > MAX_HEAD_BYTES:
                self.refuse(_too_large())
            else:
                told = "Invalid HTTP request received. This port speaks HTTP/1.1."
                self.refuse(InvalidRequest(told, code="no_http"))
            return
        if self.since_s is None:
            if self.cycle is not None and self.cycle.response_complete:
                # An empty line, or the end of a body that was answered before: nothing is awaited.
                self.idle_since_s = idle_since_s or self.loop.time()
        elif steps == self._steps:
            self._waiting_bytes += len(data)
            if self._waiting_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.refuse(_too_large())

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
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
        head = [self._parser.get_method() + b" / HTTP/1.1"]
        for name, value in self._headers:
            if name in (b"content-length", b"transfer-encoding"):
                head.append(name + b": " + value)
        self._parser = httptools.HttpRequestParser(self)
        self._head_known = True
        try:
            self._parser.feed_data(b"\r\n".join((*head, b"", b"")))
        finally:
            self._head_known = False

    # Called by the parser

    def on_message_begin(self) -> None:
        """Count anew."""
        if self._head_known:
            return
        self.head_open, self.since_s = True, self.loop.time()
        self._steps += 1
        self._head_bytes = self._waiting_bytes = 0
        self._url, self._headers, self._expects_continue = b"", [], False

    def on_url(self, url: bytes) -> None:
        """Count and keep a part of the path."""
        if self._head_known:
            return
        self._head_bytes += len(url)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _TooLarge
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header and keep it; one after the body is not kept, for it may steer nothing."""
        if self._head_known:
            return
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _TooLarge
        if not self.head_open:
            return  # a trailer
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin with the request, or let it wait behind the one before it."""
        if self._head_known:
            return
        self.head_open = False
        self.since_s = self.loop.time()
        self._steps += 1
        self._body_bytes = self._waiting_bytes = 0
        before, scope = self.cycle, self._scope()
        older = scope["http_version"] == "1.0"
        self.cycle = cycle = Cycle(
            self,
            head_only=scope["method"] == "HEAD",
            keep_alive=not older and self._parser.should_keep_alive(),
            expects_continue=self._expects_continue and not older,
            in_chunks=not older,
        )
        if before is None or before.response_complete:
            self._start(cycle, scope)
        else:
            self._pipeline.append((cycle, scope))
            if len(self._pipeline) >= _MOST_WAITING:
                self.flow.pause_reading()

    def _scope(self) -> Scope:
        if self._url != self._known_url:
            self._read_url()
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self._parser.get_http_version(),
            "method": self._parser.get_method().decode("ascii"),
            "scheme": self._scheme,
            "path": self._path,
            "raw_path": self._raw_path,
            "query_string": self._query,
            "root_path": self._root_path,
            "headers": self._headers,
            "server": self._server,
            "client": self._client,
            "state": self._app_state.copy(),
        }

    def _read_url(self) -> None:
        url = httptools.parse_url(self._url)
        path = url.path.decode("ascii")
        self._path = self._root_path + (unquote(path) if "%" in path else path)
        self._raw_path, self._query = url.path, url.query or b""
        self._known_url = self._url

    def _start(self, cycle: Cycle, scope: Scope) -> None:
        # The task leaves this set itself: to be told of its end would be another turn of the loop.
        tasks, self._running = self._server_state.tasks, cycle
        task = cycle.task = self.loop.create_task(cycle.run(self._app, scope, tasks))
        tasks.add(task)

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body; enough of it buys time for more."""
        self._steps += 1
        self._waiting_bytes = 0
        self._body_bytes += len(body)
        if self._body_bytes >= BODY_STEP_BYTES:
            self._body_bytes = 0
            self.since_s = self.loop.time()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.came(body)
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """End the body, unless it only seems to have none: see `_decline_upgrade`."""
        if self._parser.should_upgrade():
            return
        self.since_s = None
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.ended()

    def on_response_complete(self) -> None:
        """Begin with the request that waits, or be idle."""
        self._server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._pipeline:
            self._start(*self._pipeline.popleft())
        else:
            self.idle_since_s = self.loop.time()
        self.read_on()

    def read_on(self) -> None:
        """Read, unless so many requests wait that no more are to come."""
        if len(self._pipeline) < _MOST_WAITING:
            self.flow.resume_reading()


def _too_large() -> ApiError:
    return HeadTooLarge(f"Path and headers are larger than {MAX_HEAD_BYTES} bytes. Send less.")
