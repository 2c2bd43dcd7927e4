"""Clients of every kind of HTTP/1: pipelined, half closed, of 1996, with trailers, one too many."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.middleware import DoorRules
from gateway.wire import WireLimits, protocol
from tests.support.answers import FIRST, STREAM, as_vllm, chunk
from tests.support.fleets import figure
from tests.support.scripted import ScriptedEngine, events_play, running
from tests.support.serving import Served, serving
from tests.support.waiting import until

ASK: dict[str, Any] = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}
HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
KEYED = DoorRules(key=SecretStr("k-secret"))


def post(body: bytes, *headers: str, version: str = "1.1", length: bool = True) -> bytes:
    """Return a whole request for a chat, its body in one part."""
    lines = [
        f"POST /v1/chat/completions HTTP/{version}",
        "host: localhost",
        "content-type: application/json",
        *headers,
    ]
    if length:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


def ask(**more: Any) -> bytes:
    return msgspec.json.encode(ASK | more)


@asynccontextmanager
async def gateway(
    rules: DoorRules | None = None, limits: WireLimits | None = None
) -> AsyncIterator[tuple[Served, ScriptedEngine]]:
    async with running(ScriptedEngine(answer=as_vllm)) as engine:
        text = (
            f"engines: {{lab: {{kind: remote, url: '{engine.url}', health_interval_s: 60}}}}\n"
            "models: {big: {engine: lab, upstream_model: toy}}"
        )
        async with serving(text, rules, limits) as served:
            await served.ready()
            yield served, engine


def port_of(served: Served) -> int:
    return int(served.url.rpartition(":")[2])


@asynccontextmanager
async def connection(
    served: Served,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(served))
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Return status, head and body of the next answer, which says how long it is."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    body = await reader.readexactly(int(length[1])) if length else b""
    return int(head.split()[1]), head, body


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("behind", [0, 1, 3])
async def test_a_client_that_goes_is_noticed_though_it_has_sent_more_requests(
    behind: int, stream: bool
) -> None:
    async with gateway() as (served, engine):
        engine.answer = lambda _: events_play(
            *((FIRST, chunk("It ")) if stream else ()), asyncio.Event()
        )

        async def begun() -> bool:
            return bool(engine.heard)

        async with connection(served) as (reader, writer):
            writer.write(post(ask(stream=stream)) + HEALTH * behind)
            await until(begun)
            if stream:
                await reader.readuntil(b"It ")
        async with asyncio.timeout(10):
            await engine.hung_up.wait()

        async def over() -> bool:
            return figure(served.gateway.metrics, "weighbridge_requests_in_flight") == 0

        await until(over)
        told = [("outcome", "cancelled")]
        assert figure(served.gateway.metrics, "weighbridge_requests_total", told) == 1
        assert len(engine.heard) == 1


async def test_pipelined_answers_come_in_the_order_of_their_requests_however_many() -> None:
    gate = asyncio.Event()
    async with gateway() as (served, engine):
        engine.answer = None
        engine.plays.append(events_play(FIRST, chunk("It "), gate, *STREAM[2:]))
        async with connection(served) as (reader, writer):
            writer.write(post(ask(stream=True)) + HEALTH * 20)
            first = await reader.readuntil(b"It ")
            assert first.startswith(b"HTTP/1.1 200 ")
            gate.set()
            assert b"[DONE]" in await reader.readuntil(b"0\r\n\r\n")
            told = [await answer(reader) for _ in range(20)]
        assert {(status, body) for status, _, body in told} == {(200, b'{"status":"ok"}')}


async def test_who_closes_the_sending_half_is_taken_to_have_gone() -> None:
    async with gateway() as (served, engine):
        engine.answer = lambda _: events_play(FIRST, chunk("It "), asyncio.Event())
        async with connection(served) as (reader, writer):
            writer.write(post(ask(stream=True)))
            await reader.readuntil(b"It ")
            writer.write_eof()
            await engine.hung_up.wait()
            await reader.read()


async def test_a_trailer_is_no_header() -> None:
    """Whoever stands before us may have looked at the headers alone."""
    body = ask()
    chunked = b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    trailers = b"authorization: Bearer k-secret\r\nx-weighbridge-priority: high\r\n\r\n"
    head = post(b"", "transfer-encoding: chunked", length=False)
    keyed = post(b"", "transfer-encoding: chunked", "authorization: Bearer k-secret", length=False)
    async with gateway(KEYED) as (served, engine), connection(served) as (reader, writer):
        writer.write(head + chunked + trailers)
        assert (await answer(reader))[0] == 401
        assert not engine.heard
        for pieces in ((keyed + chunked + trailers,), (keyed, chunked, trailers)):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            assert (await answer(reader))[0] == 200
        assert engine.heard[-1].json()["messages"] == ASK["messages"]


async def test_a_client_of_http_1_0_gets_its_stream_without_chunks() -> None:
    gate = asyncio.Event()
    async with gateway() as (served, engine), connection(served) as (reader, writer):
        engine.answer = lambda _: events_play(FIRST, chunk("It "), gate, *STREAM[2:])
        writer.write(post(ask(stream=True), version="1.0"))
        told = await reader.readuntil(b"It ")  # all at once would say how long it is
        gate.set()
        told += await reader.read()
    head, _, body = told.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head
    assert b"connection: close" in head
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")
    assert body.count(b"\n\n") == body.count(b"data: ")


async def test_a_client_of_http_1_0_is_told_how_long_an_answer_is() -> None:
    async with gateway() as (served, _), connection(served) as (reader, writer):
        writer.write(post(ask(), version="1.0"))
        status, head, body = await answer(reader)
        assert (status, msgspec.json.decode(body)["model"]) == (200, "big")
        assert b"connection: close" in head
        assert await reader.read() == b""


async def test_who_asks_before_it_sends_its_body_is_told_to_go_on() -> None:
    body = ask()
    async with gateway() as (served, engine), connection(served) as (reader, writer):
        writer.write(post(body, "expect: 100-continue").removesuffix(body))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert not engine.heard
        writer.write(body)
        assert (await answer(reader))[0] == 200


async def test_who_asks_before_a_body_that_is_refused_is_told_so_at_once() -> None:
    body = ask()
    async with gateway(KEYED) as (served, _), connection(served) as (reader, writer):
        writer.write(post(body, "expect: 100-continue").removesuffix(body))
        assert (await answer(reader))[0] == 401
        # It may send the body all the same, and go on.
        writer.write(body + HEALTH)
        assert (await answer(reader))[0] == 200


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"OPTIONS * HTTP/1.1", 404),
        (b"CONNECT example.org:443 HTTP/1.1", 400),
        (b"TRACE /health HTTP/1.1", 405),
        (b"HEAD /v1/models HTTP/1.1", 405),
        (b"HEAD /health HTTP/1.1", 200),
        (b"HEAD /nothing HTTP/1.1", 404),
        (b"GET http://localhost/health HTTP/1.1", 200),
    ],
)
async def test_other_methods_and_targets_are_answered(line: bytes, status: int) -> None:
    async with gateway() as (served, _), connection(served) as (reader, writer):
        writer.write(line + b"\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        told = await reader.read()
        assert int(told.split()[1]) == status
        assert b"x-request-id: " in told
        assert line[:4] != b"HEAD" or told.endswith(b"\r\n\r\n")


def begun(served: Served, sent: bytes) -> socket.socket:
    """Return a connection on which so much waits for the gateway before it has been taken."""
    client = socket.create_connection(("127.0.0.1", port_of(served)))
    client.sendall(sent)
    client.setblocking(False)
    return client


async def test_one_client_too_many_reads_why_though_it_has_sent_much() -> None:
    much = post(ask(user="u" * 16_384))
    async with (
        gateway(limits=WireLimits(connections=1)) as (served, _),
        connection(served) as (reader, writer),
    ):
        writer.write(HEALTH)
        await answer(reader)
        for _ in range(5):
            client = begun(served, much)
            late, its = await asyncio.open_connection(sock=client)
            status, head, body = await answer(late)
            assert status == 503
            assert b"connection: close" in head
            assert msgspec.json.decode(body)["error"]["code"] == "too_many_connections"
            assert await late.read() == b""
            its.close()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_who_is_answered_before_its_body_has_come_reads_the_answer(version: str) -> None:
    """As behind a proxy that asks with HTTP/1.0 and sends the body whatever it hears."""
    body = ask(user="u" * 100_000)
    sent = post(body, "connection: close", version=version)
    async with gateway(KEYED) as (served, _):
        for _ in range(5):
            async with connection(served) as (reader, writer):
                writer.write(sent[:16_384])
                status, head, _ = await answer(reader)
                assert (status, b"connection: close" in head) == (401, True)
                writer.write(sent[16_384:])
                await writer.drain()
                assert await reader.read() == b""


async def test_those_who_were_refused_take_no_place_though_they_stay() -> None:
    async with gateway(limits=WireLimits(connections=1)) as (served, _):
        async with connection(served) as (reader, writer):
            writer.write(HEALTH)
            await answer(reader)
            refused = [await asyncio.open_connection(sock=begun(served, b"")) for _ in range(80)]
        # The place of the one that went is free, though all of them are still there.

        async def is_taken() -> bool:
            async with connection(served) as (reader, writer):
                writer.write(HEALTH)
                return (await answer(reader))[0] == 200

        await until(is_taken)
        for reader, writer in refused:
            async with asyncio.timeout(20):
                assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
            writer.close()


async def test_what_a_client_does_not_read_is_not_kept_for_ever_behind_an_answer() -> None:
    """Too little waits for it to hold the answer back, so that no write could tell."""

    async def much(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"50000"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 50_000})

    ours, its = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    ours.setblocking(False)
    state, limits = ServerState(), WireLimits(head_s=0.1, unread_s=0.1)
    config = Config(much, lifespan="off", log_config=None, proxy_headers=False)
    loop = asyncio.get_running_loop()
    with its:
        its.sendall(HEALTH)
        await loop.connect_accepted_socket(lambda: protocol(limits)(config, state, {}), ours)

        async def over() -> bool:
            return state.total_requests == 1 and not state.connections

        await until(over)
        assert 0 < len(its.recv(100_000)) < 50_000
