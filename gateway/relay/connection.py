"""One HTTP/1.1 connection to an engine, on httptools over asyncio.

Owns: writing a request, reading its answer in the pieces in which it arrives, back-pressure.
Must not: pool, retry or decide deadlines; `gateway.relay.client` does.

| state | left by |
|---|---|
| idle (kept for reuse) | `begin` -> busy; the engine closes -> lost |
| busy, no byte yet | headers -> answering; loss -> lost (`ConnectionLost`) |
| answering | last byte -> complete; loss -> lost (`ConnectionLost`) |
| complete | `reusable` -> idle, else closed |
"""

import asyncio
from collections import deque
from collections.abc import Callable

import httptools

from gateway.relay.watch import Watch

# Reading stops while this much of an answer waits for a slow client.
BUFFER_LIMIT_BYTES = 256 * 1024
MAX_HEADERS = 128
_UNASKED = "the engine sent bytes that nobody asked for"


class ConnectionLost(Exception):
    """The engine closed or broke the connection before the answer was complete.

    `answered` says whether any byte of an answer had arrived.
    """

    def __init__(self, reason: str, *, answered: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answered = answered


class Connection(asyncio.Protocol):
    """A connection that carries one exchange at a time.

    All methods are called from the event loop's thread; one task reads.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._pieces: deque[bytes] = deque()
        # What httptools calls for each part of a body: every event is one, so no function of ours.
        self.on_body = self._pieces.append
        self._parser = httptools.HttpResponseParser(self)
        self._loop = asyncio.get_running_loop()
        self.watch = Watch(self, self._loop)
        self._waiter: asyncio.Future[None] | None = None
        self._passing: Callable[[bytes], bool] | None = None
        self._reading_paused = False
        self._lost: str | None = None
        self._stopped: Exception | None = None
        self._answered = False
        self._complete = True
        self._keeps_alive = True
        self._headers_complete = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    @property
    def reusable(self) -> bool:
        """Whether another exchange may begin on this connection."""
        return (
            self._complete
            and self._keeps_alive
            and self._lost is None
            and not self._pieces
            and self._transport is not None
            and not self._transport.is_closing()
        )

    @property
    def buffered_bytes(self) -> int:
        """How much of the answer has come and was not read."""
        return sum(map(len, self._pieces))

    @property
    def waits(self) -> bool:
        """Whether the reader waits for the engine at this moment."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def complete(self) -> bool:
        """Whether the answer has come to its end and all of it has been read."""
        return self._complete and not self._pieces

    def begin(self, request: bytes) -> None:
        """Write a whole request; read the answer with `wait_headers` and `next_piece`.

        Raises:
            ConnectionLost: the engine has closed this connection meanwhile.
        """
        if self._transport is None or self._lost is not None:
            raise ConnectionLost(self._lost or "not connected", answered=False)
        self.status = 0
        self.headers = []
        self._headers_complete = False
        self._complete = False
        self._answered = False
        self._stopped = None
        self._transport.write(request)

    async def wait_headers(self) -> None:
        """Wait until status and headers have arrived.

        Raises:
            ConnectionLost: the engine closed or broke the connection first.
            Exception: what `stop` was given.
        """
        while not self._headers_complete:
            await self._more()

    def whole(self) -> bytes | None:
        """Return the whole body, if all of it has come before any was asked for; else None."""
        if not self._complete or self._stopped is not None or len(self._pieces) > 1:
            return None
        body = self._joined()
        self._taken()  # over TLS one piece may be more than what reading pauses at
        return body

    async def next_piece(self) -> bytes:
        """Return what has arrived since the last call, joined; `b""` at the answer's end.

        After a cancellation the answer can still be read on, or the connection closed.

        Raises:
            ConnectionLost: the answer was cut off; what had arrived was returned before.
            Exception: what `stop` was given, whatever has arrived.
        """
        if self._stopped is not None:
            raise self._stopped
        while not self._pieces:
            if self._complete:
                return b""
            await self._more()
        piece = self._joined()
        self._taken()
        return piece

    def pass_by(self, take: Callable[[bytes], bool] | None) -> None:
        """Have what comes while the reader waits given to `take`, which wakes nobody.

        What it does not take, and returns False for, the reader gets. None: the reader gets all.
        """
        self._passing = take

    def stop(self, error: Exception) -> None:
        """Let the reader get `error` instead of what is still to come."""
        self._stopped = error
        self._wake()

    def close(self) -> None:
        """Close at once, whatever state the exchange is in. Idempotent."""
        self.watch.close()
        if self._transport is not None:
            self._transport.abort()

    def _more(self) -> asyncio.Future[None]:
        """Return what is done when more has come, or the reader is to look for another reason.

        Raises:
            ConnectionLost, Exception: as `wait_headers` says.
        """
        if self._stopped is not None:
            raise self._stopped
        if self._lost is not None:
            raise ConnectionLost(self._lost, answered=self._answered)
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's is a Transport by shape

    def data_received(self, data: bytes) -> None:
        """Feed the parser; nonsense closes the connection."""
        if self._complete:
            # An engine that speaks out of turn cannot be trusted with another request.
            self._lose(_UNASKED)
            return
        self._answered = True
        before = len(self._pieces)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._lose("the engine asked for a protocol upgrade")
        except httptools.HttpParserError as error:
            self._lose(f"the engine's answer is not HTTP/1.1 ({error})")
        if len(self._pieces) > before:
            self._body_came()

    def _body_came(self) -> None:
        """Give it to who takes it in the reader's place, or wake the reader; pause while behind."""
        if self._waiter is not None:
            if self._passing is not None and self.waits and self._passing(self._joined()):
                self._taken()
                return
            self._wake()
        if self.buffered_bytes > BUFFER_LIMIT_BYTES and not self._reading_paused:
            self._pause()

    def _pause(self) -> None:
        if self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _joined(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _taken(self) -> None:
        self._pieces.clear()
        if self._reading_paused and self._transport is not None and self._lost is None:
            self._reading_paused = False
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """Let the transport close; `connection_lost` decides what that means."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the reader; an answer that has no length ends here."""
        if exc is None and self._headers_complete and not self._complete and self._ends_at_close():
            self._complete = True
        self._lost = self._lost or (f"connection lost ({exc})" if exc else "connection closed")
        self.watch.close()
        self._wake()

    # Called by httptools

    def on_message_begin(self) -> None:
        """Start over: after an informational answer (1xx) comes the real one.

        Raises:
            ConnectionLost: the answer is whole; the parser stops before it takes another for it.
        """
        if self._complete:
            self._lose(_UNASKED)
            raise ConnectionLost(_UNASKED, answered=True)
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, its name in lower case."""
        if len(self.headers) >= MAX_HEADERS:
            self._lose("the engine's answer has too many headers")
            return
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Status and headers are there; informational answers (1xx) are passed over."""
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._headers_complete = True
            self._wake()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._headers_complete:
            self._complete = True
            self._keeps_alive = self._parser.should_keep_alive()
            self._wake()

    def _ends_at_close(self) -> bool:
        names = {name for name, _ in self.headers}
        return b"content-length" not in names and b"transfer-encoding" not in names

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        self.close()
        self._wake()
