"""What many open streams take of the gateway's memory.

    python -m benchmarks.open_streams --streams 1000

An engine of our own says one event to each and then nothing, so that all stay open at once. Every
stream that was opened has to get its event, and its end when the engine goes on.

Owns: that engine, the streams, the figures. Must not: measure time.
"""

import argparse
import asyncio
import contextlib
import os
import resource
from collections.abc import AsyncIterator
from statistics import median

from engines.kinds import Deadlines, ReplicaAddress
from gateway.overhead.load import bodies_of
from gateway.overhead.machine import machine, rss_mib
from gateway.overhead.starting import Engine, serving
from gateway.relay.client import UpstreamAnswer, UpstreamClient, UpstreamRequest

_DEADLINES = Deadlines(connect_s=30, first_byte_s=60, idle_s=60, total_s=600)
_EVENT = (
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
_END = _EVENT.replace(b"null", b'"stop"') + b"data: [DONE]\n\n"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_MODELS = b'{"object":"list","data":[{"id":"m","object":"model","max_model_len":131072}]}'


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Holding:
    """The engine: says one event to each, and the end to all when `go_on` is set."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if b"content-length: " in head:
                    await reader.readexactly(int(head.split(b"content-length: ")[1].split()[0]))
                if head.startswith(b"get "):
                    length = b"content-length: %d\r\n\r\n" % len(_MODELS)
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + length)
                    writer.write(_MODELS)
                    continue
                writer.write(_HEAD + _chunk(_EVENT))
                await self.go_on.wait()
                writer.write(_chunk(_END) + b"0\r\n\r\n")
        writer.close()


async def _open(client: UpstreamClient, port: int) -> tuple[UpstreamAnswer, AsyncIterator[bytes]]:
    (body,) = bodies_of("measured", stream=True, count=1)
    request = UpstreamRequest("POST", "/chat/completions", body)
    answer = await client.send(ReplicaAddress("127.0.0.1", port), request, _DEADLINES)
    pieces = answer.pieces()
    first = await anext(pieces)
    if answer.status != 200 or b" word" not in first:
        raise SystemExit(f"a stream began with {answer.status} {first[:200]!r}")
    return answer, pieces


async def _hold(pid: int, port: int, streams: int, engine: Holding) -> float:
    """Open so many streams at once; return by how many KiB the gateway grew for each."""
    client, before_mib = UpstreamClient(), rss_mib(pid) or 0.0
    opened = await asyncio.gather(*(_open(client, port) for _ in range(streams)))
    grown_mib = (rss_mib(pid) or 0.0) - before_mib
    engine.go_on.set()
    for answer, pieces in opened:
        rest = b"".join([piece async for piece in pieces])
        if not rest.endswith(b"data: [DONE]\n\n"):
            raise SystemExit(f"a stream ended with {rest[-200:]!r}")
        answer.release()
    client.close()
    engine.go_on.clear()
    return 1024 * grown_mib / streams


async def measure(streams: int) -> list[float]:
    """Return KiB a stream in gateways that had none before: three, one after the other."""
    engine, found = Holding(), []
    server = await asyncio.start_server(engine.answer, "127.0.0.1", 0, backlog=4096)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    for _ in range(3):
        starting = serving(Engine(url, "m"), dict(os.environ))
        pid, port = await asyncio.to_thread(starting.__enter__)
        try:
            await _hold(pid, port, 8, engine)  # what the first ones take is no stream's
            found.append(await _hold(pid, port, streams, engine))
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)
    server.close()
    return found


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--streams", type=int, default=1_000)
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found = asyncio.run(measure(asked.streams))
    told = ", ".join(f"{kib:.1f}" for kib in found)
    print(f"{machine()}: {asked.streams} open streams, {median(found):.1f} KiB each ({told})")


if __name__ == "__main__":
    main()
