"""The server's side of a connection whose transport and clock move only when a test says so."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.wire import WireLimits, protocol
from gateway.wire.bounds import HttpProtocol
from gateway.wire.line import BODY_STEP_BYTES
from tests.support.waiting import until

HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
UNREAD_S, IDLE_S = 60, 5
LIMITS = WireLimits(head_s=10_000, body_s=10_000, unread_s=UNREAD_S)


class Transport(asyncio.Transport):
    """Notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.waits_bytes = 0
        self.paused = self.closed = self.aborted = False

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.waits_bytes

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


@dataclass
class Timer:
    when_s: float
    call: Callable[..., object]
    args: tuple[object, ...]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """In an event loop's place: its tasks run, its time does not pass by itself."""

    def __init__(self) -> None:
        self.now_s = 1.0
        self.timers: list[Timer] = []
        self.create_task = asyncio.get_running_loop().create_task

    def time(self) -> float:
        return self.now_s

    def call_at(self, when_s: float, call: Callable[..., object], *args: object) -> Timer:
        self.timers.append(Timer(when_s, call, args))
        return self.timers[-1]

    def call_later(self, after_s: float, call: Callable[..., object], *args: object) -> Timer:
        return self.call_at(self.now_s + after_s, call, *args)

    def passes(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while due := [one for one in self.timers if not one.cancelled and one.when_s <= until_s]:
            first = min(due, key=lambda one: one.when_s)
            self.timers.remove(first)
            self.now_s = first.when_s
            first.call(*first.args)
        self.now_s = until_s


@dataclass
class Still:
    line: HttpProtocol
    transport: Transport
    clock: Clock
    state: ServerState

    async def answered(self, requests: int) -> None:
        async def true() -> bool:
            return self.state.total_requests == requests

        await until(true)


def still(app: ASGIApp) -> Still:
    config = Config(app, lifespan="off", log_config=None, proxy_headers=False)
    state, transport, clock = ServerState(), Transport(), Clock()
    line = protocol(LIMITS)(config, state, {}, clock)
    line.connection_made(transport)
    return Still(line, transport, clock, state)


async def at_once(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer without a look at the body."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("closing", [False, True])
async def test_a_client_that_reads_a_large_answer_steadily_may_take_long(closing: bool) -> None:
    one = still(at_once)
    one.transport.waits_bytes = 100 * BODY_STEP_BYTES
    one.line.pause_writing()
    if closing:
        one.transport.close()
    for _ in range(50):
        one.transport.waits_bytes -= BODY_STEP_BYTES
        one.clock.passes(UNREAD_S)
        assert not one.transport.aborted
    one.transport.waits_bytes -= BODY_STEP_BYTES - 1
    one.clock.passes(UNREAD_S)
    assert one.transport.aborted


async def test_the_little_that_waits_while_a_connection_closes_is_not_kept_for_ever() -> None:
    one = still(at_once)
    one.transport.waits_bytes = BODY_STEP_BYTES + 1
    one.line.pause_writing()
    one.transport.close()
    one.transport.waits_bytes = 100
    one.line.resume_writing()
    one.clock.passes(2 * UNREAD_S + IDLE_S)
    assert one.transport.aborted


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n", b"hello"),
        (HEALTH, b"\r\n"),
    ],
)
async def test_a_connection_is_idle_though_something_came_behind_its_last_answer(
    begin: bytes, more: bytes
) -> None:
    """What came was a body that nobody waited for, or an empty line; neither is answered."""
    one = still(at_once)
    one.line.data_received(begin)
    await one.answered(1)
    one.line.data_received(more)
    one.clock.passes(IDLE_S - 1)
    assert not one.transport.closed
    one.clock.passes(2)
    assert one.transport.closed
    assert not one.transport.aborted


async def test_nothing_is_read_while_many_requests_wait_however_many_were_answered() -> None:
    turns = asyncio.Semaphore(0)

    async def in_turn(scope: Scope, receive: Receive, send: Send) -> None:
        await turns.acquire()
        await at_once(scope, receive, send)

    one = still(in_turn)
    one.line.data_received(HEALTH * 20)
    assert one.transport.paused
    for answered in range(1, 16):
        turns.release()
        await one.answered(answered)
        assert one.transport.paused
    turns.release()
    await one.answered(16)
    assert not one.transport.paused
    for _ in range(4):
        turns.release()
    await one.answered(20)


async def test_a_trailer_without_an_end_is_refused_and_many_small_chunks_are_not() -> None:
    async def never(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    one = still(never)
    one.line.data_received(
        b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    for _ in range(3):
        one.line.data_received(b"1\r\na\r\n" * 10_000)
    one.line.data_received(b"0\r\nx-a: ")
    one.line.data_received(b"b" * 40_000)
    assert not one.transport.closed
    one.line.data_received(b"b" * 40_000)
    assert one.transport.written.startswith(b"HTTP/1.1 431 ")
    assert one.transport.closed
    await asyncio.wait(set(one.state.tasks))


async def test_a_row_of_requests_may_be_cut_anywhere() -> None:
    """Where one head is open before and another behind, neither is as long as what came."""
    one, row = still(at_once), HEALTH * 2_000
    one.line.data_received(row[:20])
    one.line.data_received(row[20:-20])
    one.line.data_received(row[-20:])
    await one.answered(2_000)
    assert b" 431 " not in one.transport.written
