"""Requests that are still being read when a worker must end."""

import asyncio

import pytest

from engines.llamacpp.beginnings import Beginnings, Draining


async def test_who_is_still_read_is_told_of_the_end_and_who_has_begun_goes_on() -> None:
    beginnings, may_go_on = Beginnings(), asyncio.Event()

    async def read() -> str:
        async with beginnings.one():
            await asyncio.Event().wait()
        return "read"

    async def run() -> str:
        async with beginnings.one() as begun:
            begun()
            await may_go_on.wait()
        return "ran"

    reading, running = asyncio.create_task(read()), asyncio.create_task(run())
    await asyncio.sleep(0)
    beginnings.end()
    with pytest.raises(Draining):
        await reading
    may_go_on.set()
    assert await running == "ran"


async def test_nothing_begins_once_the_time_is_up() -> None:
    beginnings = Beginnings()
    beginnings.end()
    with pytest.raises(Draining):
        async with beginnings.one():
            pytest.fail("it began")


async def test_what_else_takes_too_long_is_not_taken_for_the_end() -> None:
    with pytest.raises(TimeoutError):
        async with Beginnings().one():
            raise TimeoutError


async def test_who_is_cancelled_by_others_is_cancelled() -> None:
    beginnings = Beginnings()

    async def read() -> None:
        async with beginnings.one():
            await asyncio.Event().wait()

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    beginnings.end()
