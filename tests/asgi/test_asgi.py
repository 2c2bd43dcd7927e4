"""Bodies are bounded, and a client that goes away ends what was done for it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from engines.asgi import ON_DEPARTURE, BodyTooLong, ClientGone, Departure, read_body

WAIT_S = 20
GONE: Message = {"type": "http.disconnect"}


class Line:
    """A client: what it has sent, and then silence until it says more."""

    def __init__(self, *messages: Message) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self.say(message)

    def say(self, message: Message) -> None:
        self._messages.put_nowait(message)

    async def receive(self) -> Message:
        return await self._messages.get()


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def scope(*lengths: bytes) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"content-length", length) for length in lengths]}


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=8))
def test_a_body_in_any_pieces_is_read_whole(pieces: list[bytes]) -> None:
    async def read() -> bytes:
        line = Line(*(part(p, more=True) for p in pieces[:-1]), part(pieces[-1]))
        return await read_body(scope(), line.receive, 1_000)

    assert asyncio.run(read()) == b"".join(pieces)


async def test_a_request_without_a_body_has_an_empty_one() -> None:
    assert await read_body(scope(), Line({"type": "http.request"}).receive, 10) == b""


@pytest.mark.parametrize("length", [b"11", b"9" * 30, b"9" * 9_000])
async def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(
    length: bytes,
) -> None:
    with pytest.raises(BodyTooLong):
        await read_body(scope(length), Line().receive, 10)


@pytest.mark.parametrize("lengths", [(), (b"2",), (b"-1",), (b"x",), (b"",), (b"\xb2",)])
async def test_a_body_that_is_too_long_is_refused_whatever_it_says(
    lengths: tuple[bytes, ...],
) -> None:
    line = Line(part(b"12345", more=True), part(b"678901", more=True))
    with pytest.raises(BodyTooLong):
        await read_body(scope(*lengths), line.receive, 10)


@pytest.mark.parametrize("length", [b"10", b"0010"])
async def test_a_body_of_just_the_limit_is_read(length: bytes) -> None:
    line = Line(part(b"12345", more=True), part(b"67890"))
    assert await read_body(scope(length), line.receive, 10) == b"1234567890"


async def test_a_client_that_goes_before_or_in_its_body_is_gone() -> None:
    for before in ([], [part(b"1", more=True)]):
        with pytest.raises(ClientGone):
            await read_body(scope(), Line(*before, GONE).receive, 10)


async def test_work_that_ends_first_is_not_disturbed() -> None:
    line = Line()
    with Departure(scope(), line.receive):
        await asyncio.sleep(0)
    line.say(GONE)
    await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # there is one


async def test_a_client_that_goes_ends_the_work() -> None:
    line = Line(part(b"pipelined"))
    cleaned: list[bool] = []

    async def work() -> None:
        async with asyncio.timeout(WAIT_S):
            with Departure(scope(), line.receive):
                line.say(GONE)
                try:
                    await asyncio.Event().wait()
                finally:
                    cleaned.append(True)

    with pytest.raises(ClientGone):
        await work()
    assert cleaned
    await asyncio.sleep(0)  # nothing of the cancellation is left for the next await


async def test_a_client_that_had_gone_before_is_noticed() -> None:
    async def work() -> None:
        with Departure(scope(), Line(GONE).receive):
            await asyncio.Event().wait()

    with pytest.raises(ClientGone):
        await asyncio.wait_for(work(), WAIT_S)


async def test_a_server_that_tells_of_the_clients_going_is_not_asked() -> None:
    told: list[Callable[[], None] | None] = []

    async def work() -> None:
        with Departure(scope() | {ON_DEPARTURE: told.append}, Line().receive):
            leave = told[0]
            assert leave is not None
            leave()
            await asyncio.Event().wait()

    with pytest.raises(ClientGone):
        await asyncio.wait_for(work(), WAIT_S)
    assert told[1:] == [None]


async def test_work_that_outlives_its_cancellation_keeps_its_own_end() -> None:
    async def fail() -> None:
        with Departure(scope(), Line(GONE).receive):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ValueError("its own") from None

    async def go_on() -> str:
        with Departure(scope(), Line(GONE).receive), suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return "done"

    with pytest.raises(ValueError, match="its own"):
        await fail()
    assert await go_on() == "done"


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    started = asyncio.Event()

    async def work() -> None:
        with Departure(scope(), Line().receive):
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@pytest.mark.parametrize("first", ["client", "shutdown"])
async def test_a_cancellation_from_elsewhere_wins_over_a_client_that_goes(first: str) -> None:
    started = asyncio.Event()
    line = Line()

    async def work() -> None:
        with Departure(scope(), line.receive):
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await started.wait()
    if first == "client":
        line.say(GONE)
        await asyncio.sleep(0)
    task.cancel()
    line.say(GONE)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_deadline_around_the_work_is_still_a_deadline() -> None:
    async def work() -> None:
        with Departure(scope(), Line().receive):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await work()


async def test_the_watch_does_not_outlive_the_work() -> None:
    before = asyncio.all_tasks()
    with Departure(scope(), Line().receive):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
