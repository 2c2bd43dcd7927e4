"""The client that the relay uses: pooled connections, deadlines, cancellation.

Owns: which connection an exchange runs on, and its life.
Must not: read what an answer says.
"""

import asyncio
import errno
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path

import msgspec

from engines.kinds import Deadlines, ReplicaAddress
from engines.kinds.address import Trust
from gateway.relay.connection import Connection, ConnectionLost
from gateway.relay.watch import DeadlinePassed

MAX_IDLE_PER_ADDRESS = 64
_MAX_FETCHED_BYTES = 8 * 1024 * 1024


class Unreachable(Exception):
    """No connection could be made; nothing was sent."""


class NoFileLeft(Unreachable):
    """We have as many files open as we may, which is no engine's fault."""


class ConnectTimeout(DeadlinePassed):
    """No connection was made in time; nothing was sent."""

    def __init__(self, limit_s: float) -> None:
        super().__init__("connection", limit_s, "connect_timeout_s")


class UpstreamRequest(msgspec.Struct, frozen=True):
    """What is sent; Host, Content-Length and Authorization are the client's to add."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class UpstreamAnswer:
    """An answer whose headers have arrived; it owns its connection until `release`.

    `release` is idempotent: a complete answer gives the connection back to the pool, anything
    else closes it, which tells the engine to stop.
    """

    __slots__ = ("_client", "_key", "_link", "_released", "headers", "resent", "status")

    def __init__(self, client: "UpstreamClient", key: str, link: Connection) -> None:
        self._client = client
        self._key = key
        self._link = link
        self._released = False
        self.resent = False  # an engine may have begun it twice
        self.status = link.status
        self.headers = link.headers

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of this (lower-case) name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def next_piece(self) -> Coroutine[None, None, bytes]:
        """Return what has arrived of the body since the last call; `b""` at its end.

        Raises:
            ConnectionLost, DeadlinePassed: as `pieces` says.
        """
        return self._link.next_piece()

    def pass_by(self, take: Callable[[bytes], bool] | None) -> None:
        """Have pieces that come while the reader waits given to `take`: see `Connection`."""
        self._link.pass_by(take)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body in the pieces in which it arrives; the reader says which are life.

        Raises:
            ConnectionLost: the answer was cut off.
            DeadlinePassed: a wait has lasted too long; see `engines.kinds.Deadlines`.
        """
        while piece := await self._link.next_piece():
            yield piece

    def heard(self) -> None:
        """Note a sign of life: from now on the engine may be silent for `idle_s`."""
        self._link.watch.heard()

    def whole(self, limit_bytes: int) -> bytes | None:
        """Return the whole body, if all of it has come before any was asked for; else None."""
        if self._link.buffered_bytes > limit_bytes:
            return None
        return self._link.whole()

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole body.

        Raises:
            ConnectionLost: cut off, or longer than `limit_bytes`.
            DeadlinePassed: the engine was silent for too long.
        """
        body = self.whole(limit_bytes)
        if body is not None:
            return body
        parts: list[bytes] = []
        total_bytes = 0
        async for piece in self.pieces():
            self.heard()
            total_bytes += len(piece)
            if total_bytes > limit_bytes:
                raise ConnectionLost(f"an answer of more than {limit_bytes} bytes", answered=True)
            parts.append(piece)
        return b"".join(parts)

    async def finish(self, limit_s: float) -> None:
        """Drop what is left of an answer whose end was seen, so that its connection can be kept.

        Gives up after `limit_s` seconds, or when the engine closes; never raises for those.
        """
        if self._link.complete:
            return
        try:
            async with asyncio.timeout(limit_s):
                while await self._link.next_piece():
                    pass
        except (TimeoutError, ConnectionLost, DeadlinePassed):
            return

    def release(self) -> None:
        """Give the connection back, or close it when the answer is not complete. Idempotent."""
        if not self._released:
            self._released = True
            self._link.watch.end()
            self._client.take_back(self._key, self._link)


class UpstreamClient:
    """Sends requests to engines over kept-alive connections; one for the whole gateway."""

    def __init__(self) -> None:
        self._idle: dict[str, list[Connection]] = {}
        self._tls: dict[tuple[Path | None, bool], ssl.SSLContext] = {}
        self._closed = False

    async def send(
        self,
        address: ReplicaAddress,
        request: UpstreamRequest,
        deadlines: Deadlines,
        spent_s: float = 0,
    ) -> UpstreamAnswer:
        """Send; return when status and headers have arrived.

        `spent_s` seconds of the total have passed already.

        A kept connection that turns out to be closed before any answer is replaced: the engine's
        idle timeout raced with us. Cancellation closes the connection.

        Raises:
            Unreachable: no connection; nothing was sent.
            ConnectionLost: the engine went away before it answered.
            DeadlinePassed: no connection or no answer in time.
        """
        wire, key, resent = _request_bytes(address, request), address.key, False
        while True:
            kept = self._take_idle(key)
            link = kept or await self._connect(address, deadlines.connect_s)
            link.watch.begin(deadlines, spent_s)
            try:
                link.begin(wire)
                await link.wait_headers()
            except ConnectionLost as error:
                link.close()
                if kept is None or error.answered:
                    raise
                resent = True
            except BaseException:
                link.close()
                raise
            else:
                answer = UpstreamAnswer(self, key, link)
                answer.resent = resent
                return answer

    async def fetch(
        self, address: ReplicaAddress, request: UpstreamRequest, deadlines: Deadlines
    ) -> tuple[int, bytes]:
        """Return status and body of what is no endpoint of OpenAI's: `path` is a whole one.

        Raises:
            Unreachable, ConnectionLost, DeadlinePassed: as `send` and `read` say.
        """
        answer = await self.send(replace(address, base_path=""), request, deadlines)
        try:
            return answer.status, await answer.read(_MAX_FETCHED_BYTES)
        finally:
            answer.release()

    def take_back(self, key: str, link: Connection) -> None:
        """Keep a connection for reuse, or close it."""
        idle = self._idle.get(key)
        if idle is None:
            idle = self._idle[key] = []
        if link.reusable and not self._closed and len(idle) < MAX_IDLE_PER_ADDRESS:
            idle.append(link)
        else:
            link.close()

    def forget(self, key: str) -> None:
        """Close the idle connections to an address that has died."""
        for link in self._idle.pop(key, ()):
            link.close()

    def close(self) -> None:
        """Close all idle connections; answers still being read close when released."""
        self._closed = True
        for key in tuple(self._idle):
            self.forget(key)

    def _take_idle(self, key: str) -> Connection | None:
        idle = self._idle.get(key)
        while idle:
            link = idle.pop()  # the most recent one is the least likely to have timed out
            if link.reusable:
                return link
            link.close()
        return None

    async def _connect(self, address: ReplicaAddress, limit_s: float) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit_s):
                if address.socket_path is not None:
                    _, link = await loop.create_unix_connection(
                        Connection, str(address.socket_path)
                    )
                else:
                    _, link = await loop.create_connection(
                        Connection,
                        address.host,
                        address.port,
                        ssl=self._tls_context(address.trust) if address.tls else None,
                        server_hostname=address.trust.name if address.tls else None,
                    )
        except TimeoutError:
            raise ConnectTimeout(limit_s) from None
        except ssl.SSLError as error:
            if error.reason == "WRONG_VERSION_NUMBER":
                raise Unreachable("it speaks no TLS; is its URL http://?") from error
            raise Unreachable(error.strerror or str(error)) from error
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise NoFileLeft(error.strerror) from error
            raise Unreachable(error.strerror or str(error)) from error
        except UnicodeError as error:  # of the codec that names of hosts pass through
            raise Unreachable(f"{address.host!r} is no name of a host") from error
        return link

    def _tls_context(self, trust: Trust) -> ssl.SSLContext:
        """Return the context for an address; reading authorities takes time, so it is kept.

        Raises:
            OSError: the file of authorities is gone, or has none.
        """
        kind = trust.authorities, trust.verify
        if kind not in self._tls:
            context = ssl.create_default_context(cafile=trust.authorities)
            if not trust.verify:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._tls[kind] = context
        return self._tls[kind]


def _request_bytes(address: ReplicaAddress, request: UpstreamRequest) -> bytes:
    body, told = request.body, ""
    for name, value in request.headers:
        told += f"{name}: {value}\r\n"
    if body:
        told += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    head = (
        f"{request.method} {address.base_path}{request.path} HTTP/1.1\r\n{address.lines}{told}\r\n"
    )
    return head.encode("latin-1") + body
