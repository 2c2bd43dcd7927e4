"""An engine that plays a script: real bytes on a real socket, no model behind them."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

CUT = None  # in a play: close the connection here, in the middle of the answer


@dataclass(frozen=True)
class Heard:
    """One request as the engine got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        return msgspec.json.decode(self.body, type=dict[str, object])


@dataclass
class Play:
    """One answer: status, content type, and the pieces of the body.

    An `asyncio.Event` among the pieces is waited for; `CUT` closes the connection.
    """

    pieces: Sequence[bytes | asyncio.Event | None]
    status: int = 200
    kind: str = "application/json"


def json_play(value: object, status: int = 200) -> Play:
    return Play([msgspec.json.encode(value)], status)


def events_play(*pieces: bytes | asyncio.Event | None) -> Play:
    return Play(pieces, kind="text/event-stream; charset=utf-8")


@dataclass
class ScriptedEngine:
    """`plays` answer generation requests in turn; `answer`, where given, makes them instead."""

    models: tuple[str, ...] = ("toy",)
    answer: Callable[[Heard], Play] | None = None
    plays: deque[Play] = field(default_factory=deque)
    heard: list[Heard] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    metrics_text: bytes = b""
    models_status: int = 200
    running: int = 0  # generation requests whose answer has not ended
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def metrics(self) -> bytes:
        return self.metrics_text

    def _play(self, heard: Heard) -> Play:
        if heard.path == "/v1/models":
            rows = [{"id": name, "object": "model"} for name in self.models]
            return json_play({"object": "list", "data": rows}, self.models_status)
        if heard.path == "/metrics":
            return Play([self.metrics()], kind="text/plain; version=0.0.4")
        self.heard.append(heard)
        return self.answer(heard) if self.answer is not None else self.plays.popleft()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                heard = await _read_request(reader)
                if not await self._answer(self._play(heard), reader, writer, heard.method):
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return  # the client went, or the test is over
        finally:
            writer.close()

    async def _answer(
        self, play: Play, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str
    ) -> bool:
        """Write an answer; say whether the connection stays."""
        self.running += method == "POST"
        try:
            writer.write(
                f"HTTP/1.1 {play.status} X\r\ncontent-type: {play.kind}\r\n"
                "transfer-encoding: chunked\r\n\r\n".encode()
            )
            for piece in play.pieces:
                if piece is CUT:
                    return False
                if isinstance(piece, asyncio.Event):
                    await self._wait(piece, reader)
                elif piece:
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await writer.drain()
            writer.write(b"0\r\n\r\n")
            return True
        finally:
            self.running -= method == "POST"

    async def _wait(self, gate: asyncio.Event, reader: asyncio.StreamReader) -> None:
        """Wait for the gate, or for the client's hanging up, which is noted."""
        opened = asyncio.create_task(gate.wait())
        ended = asyncio.create_task(reader.read(1))
        await asyncio.wait([opened, ended], return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if ended.done():
            self.hung_up.set()
            raise ConnectionError
        ended.cancel()


@asynccontextmanager
async def running(
    engine: ScriptedEngine,
    port: int = 0,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[ScriptedEngine]:
    """Serve the engine on loopback for as long as the block lasts."""
    links: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        links.add(writer)
        await engine.serve(reader, writer)
        links.discard(writer)

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    engine.port = server.sockets[0].getsockname()[1]
    try:
        yield engine
    finally:
        server.close()
        for writer in links:
            writer.transport.abort()


async def _read_request(reader: asyncio.StreamReader) -> Heard:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Heard(method, path, headers, body)
