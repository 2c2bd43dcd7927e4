"""A wire to a real engine that breaks once, at a chosen event of the first stream on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

END = b"\n\n\r\n"  # of an event that is a chunk of its own, as our worker writes them
NONSENSE = b'data: {"choices": [{"ind\n\n'


@dataclass
class Wire:
    """Passes bytes on; behind event `at` it is "cut", "stalled", or sends something "malformed"."""

    engine_url: str
    how: str
    at: int
    url: str = ""
    broken: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = urlsplit(self.engine_url)
        from_engine, to_engine = await asyncio.open_connection(place.hostname, place.port)
        asking = asyncio.create_task(_pass_on(reader, to_engine))
        try:
            await self._answer(from_engine, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # one of them went, or the test is over
        finally:
            asking.cancel()
            to_engine.transport.abort()
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        events = 0
        while piece := await reader.read(65_536):
            while not self.broken and events + piece.count(END) >= self.at:
                head, end, piece = piece.partition(END)
                writer.write(head + end)
                events += 1
                if events == self.at:
                    self.broken = True
                    await self._break(writer)
                    return
            events += piece.count(END)
            writer.write(piece)
            await writer.drain()

    async def _break(self, writer: asyncio.StreamWriter) -> None:
        if self.how == "malformed":
            writer.write(b"%x\r\n%b\r\n" % (len(NONSENSE), NONSENSE))
        await writer.drain()
        if self.how == "stalled":
            await asyncio.Event().wait()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def breaking(engine_url: str, how: str, at: int) -> AsyncIterator[Wire]:
    """Serve a wire on loopback until the block ends."""
    wire = Wire(engine_url, how, at)
    tasks: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(wire.serve(reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield wire
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    writer.close()
