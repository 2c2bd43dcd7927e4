"""Clients that send or read slowly, or come in numbers: bounded, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from gateway.wire import WireLimits
from gateway.wire.line import BODY_STEP_BYTES
from tests.support.answers import DONE, FIRST, as_vllm, chunk
from tests.support.scripted import Play, ScriptedEngine, running
from tests.support.serving import Served, serving
from tests.support.waiting import until

ASK = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}
BODY = msgspec.json.encode(ASK)
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
)
SLOW_S = 0.1


def config(engine: ScriptedEngine) -> str:
    return f"""
engines: {{lab: {{kind: remote, url: "{engine.url}", health_interval_s: 60}}}}
models: {{big: {{engine: lab, upstream_model: toy}}}}
"""


@asynccontextmanager
async def gateway(limits: WireLimits) -> AsyncIterator[tuple[Served, ScriptedEngine]]:
    async with (
        running(ScriptedEngine(answer=as_vllm)) as engine,
        serving(config(engine), limits=limits) as served,
    ):
        await served.ready()
        yield served, engine


@asynccontextmanager
async def connection(
    served: Served,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = int(served.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def last_words(reader: asyncio.StreamReader) -> tuple[int, object]:
    """Return the status of the answer with which the gateway closed, and its error's code."""
    async with asyncio.timeout(20):
        told = await reader.read()
    head, _, body = told.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), msgspec.json.decode(body)["error"]["code"]


@pytest.mark.parametrize("begin", [b"", b"GET /health HTTP/1.1\r\nhost: local"])
async def test_a_head_that_does_not_come_is_a_408(begin: bytes) -> None:
    async with gateway(WireLimits(head_s=SLOW_S)) as (served, _), connection(served) as (r, w):
        w.write(begin)
        assert await last_words(r) == (408, "request_timeout")


async def test_a_body_that_trickles_is_a_408_and_reaches_no_engine() -> None:
    async with gateway(WireLimits(body_s=SLOW_S)) as (served, engine), connection(served) as (r, w):
        w.write(HEAD % len(BODY) + BODY[:20])
        waiting = asyncio.create_task(last_words(r))
        for at in range(20, len(BODY)):
            w.write(BODY[at : at + 1])
            done, _ = await asyncio.wait([waiting], timeout=SLOW_S / 5)
            if done:
                break
        assert await waiting == (408, "request_timeout")
        assert not engine.heard


async def test_a_large_body_may_take_long_while_it_comes() -> None:
    async with gateway(WireLimits(body_s=SLOW_S)) as (served, _), connection(served) as (r, w):
        body = msgspec.json.encode(ASK | {"user": "u" * 6 * BODY_STEP_BYTES})
        w.write(HEAD % len(body))
        reading = asyncio.create_task(r.readuntil(b"\r\n"))
        for at in range(0, len(body), BODY_STEP_BYTES):
            w.write(body[at : at + BODY_STEP_BYTES])
            await asyncio.wait([reading], timeout=SLOW_S / 2)
        assert b"400" in await reading  # it was read whole, and the engine found it too long


async def test_a_kept_connection_may_be_idle_for_longer_than_a_head_may_take() -> None:
    async with gateway(WireLimits(head_s=SLOW_S)) as (served, _), connection(served) as (r, w):
        for _ in range(2):
            w.write(HEAD % len(BODY) + BODY)
            head = await r.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await r.readexactly(length)
            idle = asyncio.create_task(r.read(1))
            done, _ = await asyncio.wait([idle], timeout=3 * SLOW_S)
            assert not done
            idle.cancel()
            await asyncio.wait([idle])


async def test_more_connections_than_allowed_are_told_so() -> None:
    async with gateway(WireLimits(connections=1)) as (served, _):
        async with connection(served), connection(served) as (r, _):
            assert await last_words(r) == (503, "too_many_connections")
        assert (await served.http.get("/health")).status_code == 200


class Flood(list[bytes]):
    """Pieces of an answer, and how many of them the engine has got rid of."""

    gone = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in super().__iter__():
            self.gone += 1
            yield piece


async def test_a_client_that_does_not_read_is_cut_off_and_the_others_do_not_notice() -> None:
    # Sockets hold some 20 MB of these 120, and the gateway next to nothing.
    much = Flood([FIRST, *[chunk("x" * 60_000)] * 2_000, DONE])
    async with gateway(WireLimits(unread_s=SLOW_S)) as (served, engine):
        ask = msgspec.json.encode(ASK | {"stream": True})
        (replica,) = served.gateway.fleet

        async def begun() -> bool:
            return bool(engine.heard)

        async def over() -> bool:
            return replica.in_flight == 0

        engine.answer = None
        engine.plays.append(Play(much, kind="text/event-stream"))
        async with connection(served) as (_, writer):
            writer.write(HEAD % len(ask) + ask)
            await until(begun)
            engine.answer = as_vllm
            for _ in range(3):
                answer = await served.http.post("/v1/chat/completions", json=ASK)
                assert answer.status_code == 200
            await until(over)
        assert much.gone < 700
