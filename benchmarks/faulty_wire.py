"""A wire to an engine that now and then sends nonsense into an answer, or breaks.

Owns: the faults. Must not: know who listens on either side.
"""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_ODDS = 0.002
_NONSENSE = b'data: {"choices": [{"ind\n\n'


@asynccontextmanager
async def faulty_wire(
    listener: socket.socket, port: int, chance: random.Random
) -> AsyncIterator[None]:
    """Pass bytes on to a port; of the answers' pieces one in 500 is nonsense, or the last."""
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, odds: float) -> None:
        try:
            while piece := await reader.read(65_536):
                fault = chance.random()
                if fault < odds and piece.count(b"data: "):
                    if fault < odds / 2:
                        writer.write(b"%x\r\n%b\r\n" % (len(_NONSENSE), _NONSENSE))
                    break
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection("127.0.0.1", port)
        for way in (copy(reader, there, 0), copy(back, writer, _ODDS)):
            task = asyncio.create_task(way)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, sock=listener)
    try:
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()
