"""The server's side of HTTP/1.1, before a request is one: bounds, and the words of a refusal.

Owns: how slowly a client may send and read, how long it may be idle, and how many may be connected;
the answer to bytes that are no request.
Must not: know endpoints; what is a request goes to `gateway.middleware`.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from gateway.errors import ApiError, RequestTimeout, TooManyConnections
from gateway.rendering import headers_of
from gateway.wire.line import BODY_STEP_BYTES, HttpLine

_access = logging.getLogger("weighbridge.access")
# A client that was refused may end what it sends, and read why: where it has not been read, the
# system resets the connection, and the answer may be lost with it. So long, so much, so many.
_PARTING_S = 1.0
_PARTING_BYTES = 1024 * 1024
_MOST_PARTING = 64


class Census(Protocol):
    """Who counts the connections of several processes as one."""

    def came(self) -> int:
        """Count one more; return how many there are now."""

    def went(self) -> None:
        """Count one less."""


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one client may take of the gateway.

    A head has `head_s` seconds, from the connection's first moment or the head's first byte. Of a
    body `BODY_STEP_BYTES` or its end must come every `body_s`. Of what waits for a client as much
    must be read every `unread_s`, or it is cut off. Where other processes serve as well, a `census`
    counts the connections of all.
    """

    head_s: float = 10
    body_s: float = 30
    unread_s: float = 60
    connections: int = 4_096
    census: Census | None = None


def protocol(limits: WireLimits) -> Callable[..., "HttpProtocol"]:
    """Return what uvicorn makes a connection's protocol with."""
    parting: set[HttpProtocol] = set()

    def make(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> HttpProtocol:
        return HttpProtocol(config, server_state, app_state, _loop, limits=limits, parting=parting)

    return make


class HttpProtocol(HttpLine):
    """A connection that is bounded; refusals in OpenAI's shape.

    One timer for each connection looks at how it receives: one for each request would cost more.

    | state | left by | at most |
    |---|---|---|
    | a head is awaited (the first), or has begun | its end -> body | `head_s` |
    | body | its end -> answering; a step of it -> body | `body_s` |
    | idle | the first byte of a head -> head | `timeout_keep_alive` of uvicorn's configuration |
    | unread: so much waits for it that the rest is held back | it reads a step | `unread_s` |
    | closing, while little waits for the client | it reads | `unread_s` |
    | refused: what still comes is dropped | its end | `_PARTING_S`, `_PARTING_BYTES` |
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
        *,
        limits: WireLimits,
        parting: "set[HttpProtocol]",
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self._limits = limits
        self._census = limits.census
        self._keep_s = config.timeout_keep_alive
        self._receiving: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._closes = self._parted = False
        self._parting = parting  # those that were refused, and have not gone
        self._dropped_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        opened = len(self.connections) if self._census is None else self._census.came()
        if opened > self._limits.connections:
            self._uncount()  # who is told to go takes nobody's place meanwhile
            self.refuse(
                TooManyConnections(
                    f"{self._limits.connections} connections are open, as many as "
                    "gateway.max_connections and the system's limit of files allow. "
                    "Try again later."
                )
            )
            return
        self.since_s = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        self._uncount()
        self._parting.discard(self)
        for timer in (self._receiving, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _uncount(self) -> None:
        census, self._census = self._census, None
        if census is not None:
            census.went()
        self.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Parse, unless the client was refused: then it only has time to read why."""
        if not self._parted:
            super().data_received(data)
            return
        self._dropped_bytes += len(data)
        if self._dropped_bytes > _PARTING_BYTES:
            self.transport.close()

    def pause_writing(self) -> None:
        """Hold the answer back, as long as the client reads what waits for it."""
        super().pause_writing()
        self._await_reading()

    def _await_reading(self, before_bytes: int | None = None) -> None:
        """Cut the client off, unless it has read a step of the `before_bytes` of the last look."""
        left_bytes = self.transport.get_write_buffer_size()
        if before_bytes is not None and before_bytes - left_bytes < BODY_STEP_BYTES:
            self.transport.abort()
            return
        self._unread = self.loop.call_later(self._limits.unread_s, self._await_reading, left_bytes)

    def resume_writing(self) -> None:
        """Go on."""
        if self._unread is not None:
            self._unread.cancel()
        super().resume_writing()

    def _look(self) -> None:
        """End a connection whose client is too slow, or idle for too long; else look again."""
        limits, now_s = self._limits, self.loop.time()
        if self._closes:
            self.transport.abort()
            return
        if not self.transport.is_closing():
            self._judge(now_s)
        if self._parted:
            return
        closing = self.transport.is_closing()
        self._closes = closing and not self.flow.write_paused  # else `_await_reading` looks
        due_s = now_s + limits.unread_s if closing else self._due_s(now_s)
        self._receiving = self.loop.call_at(due_s, self._look)

    def _judge(self, now_s: float) -> None:
        if self.idle_since_s is not None and now_s >= self.idle_since_s + self._keep_s:
            self.transport.close()
            return
        if self.flow.read_paused and self.since_s is not None:
            self.since_s = now_s  # it is we who do not read
        if self.since_s is not None and now_s >= self.since_s + self._limit_s:
            what = "request's head" if self._head_awaited else "request's body"
            told = f"The {what} did not come in time ({self._limit_s:g} s)."
            self.refuse(RequestTimeout(told))

    def _due_s(self, now_s: float) -> float:
        limits = self._limits
        # What is awaited may be another thing soon, with another limit.
        due_s = [now_s + min(limits.head_s, limits.body_s, self._keep_s)]
        if self.since_s is not None:
            due_s.append(self.since_s + self._limit_s)
        if self.idle_since_s is not None:
            due_s.append(self.idle_since_s + self._keep_s)
        return min(due_s)

    @property
    def _limit_s(self) -> float:
        return self._limits.head_s if self._head_awaited else self._limits.body_s

    @property
    def _head_awaited(self) -> bool:
        return self.head_open or self.cycle is None

    def refuse(self, error: ApiError) -> None:
        """Answer and close; in the middle of another answer only close."""
        if not self._may_answer():
            self.transport.close()
            return
        body = error.body()
        request_id = os.urandom(12).hex()
        _access.info(
            "no request %(status)d %(code)s id=%(request_id)s",
            {"status": error.status, "code": error.code, "request_id": request_id},
        )
        headers = headers_of(error) | {
            "content-length": str(len(body)),
            "connection": "close",
            "x-request-id": request_id,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[error.status] + lines.encode() + b"\r\n" + body)
        self.part()

    def part(self) -> None:
        """Say nothing more; close when the client has, or has had the time to hear."""
        if self.cycle is not None:
            self.cycle.gone()
        if len(self._parting) >= _MOST_PARTING or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._parted = True
        self._parting.add(self)
        self.flow.resume_reading()
        self.transport.write_eof()
        if self._receiving is not None:
            self._receiving.cancel()
        self._receiving = self.loop.call_later(_PARTING_S, self.transport.abort)

    def _may_answer(self) -> bool:
        """Say whether an answer now would be taken for that of the request which is refused."""
        cycle = self.cycle
        if cycle is None:
            return True
        if cycle.more_body:
            return not (cycle.response_started or self.waiting)
        return cycle.response_complete
