"""Clients that go away, at every moment of a request: nothing runs on for nobody."""

import asyncio
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.support.contract import CHAT, Contract, Subject, user
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def endless(subject: Subject) -> dict[str, Any]:
    """Return more than any test waits for; the slots of our engines here are two."""
    most = min(1_900, subject.context - 200)
    # Eight answers of a tiny model are over before the metrics have been asked for twice.
    more = {"temperature": 0.5, "n": 128} if subject.is_vllm else {}
    return {"ignore_eos": True, "max_tokens": most, "n": 8} | more


def asked(subject: Subject, hold: int, **fields: Any) -> dict[str, Any]:
    """Return a long request; `hold` is the event at which the recording stops (-1: the last)."""
    long = {"user": f"hold:{hold}"} if subject.model == "recorded" else endless(subject)
    return {"model": subject.model, "messages": user("Hello"), "stream": True} | long | fields


async def cancelled(subject: Subject) -> float:
    return (await subject.figures()).get("cancelled", 0)


async def reading(subject: Subject, body: dict[str, Any]) -> "asyncio.Task[httpx.Response]":
    """Start a request whose client can be cancelled; return when the engine has it."""
    before = await subject.busy()
    task = asyncio.create_task(subject.http.post(CHAT, json=body))

    async def is_there() -> bool:
        assert not task.done(), f"it has ended already: {task.result().text[-500:]}"
        return await subject.busy() > before

    await until(is_there)
    return task


async def hang_up(*tasks: "asyncio.Task[httpx.Response]") -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("stream", [True, False])
async def test_hanging_up_before_the_first_token_frees_the_engine(
    subject: Subject, stream: bool
) -> None:
    await subject.idle()
    before = await cancelled(subject)
    more: dict[str, Any] = {"stream": stream or subject.model == "recorded"}
    if subject.model != "recorded":
        words = 60 if subject.is_vllm else 800
        more["messages"] = user("hello " * words)  # a prompt of many steps
        more["max_tokens"] = 500
    await hang_up(await reading(subject, asked(subject, 0, **more)))
    await subject.idle()
    assert await cancelled(subject) == before + (not subject.direct)


async def test_hanging_up_in_the_queue_leaves_it(subject: Subject) -> None:
    await subject.idle()
    first = await reading(subject, asked(subject, 0))
    second = await reading(subject, asked(subject, 0))
    busy = await subject.busy()
    await hang_up(second)

    async def is_less() -> bool:
        return await subject.busy() < busy

    await until(is_less)
    await hang_up(first)
    await subject.idle()


@pytest.mark.parametrize("pieces", [1, 3])
async def test_hanging_up_in_the_middle_of_a_stream_frees_the_engine(
    subject: Subject, pieces: int
) -> None:
    await subject.idle()
    before = await cancelled(subject)
    async with subject.http.stream("POST", CHAT, json=asked(subject, 4)) as answer:
        heard = ""
        async for text in answer.aiter_text():
            heard += text
            if heard.count("data: ") >= pieces:
                break
    await subject.idle()
    assert await cancelled(subject) == before + (not subject.direct)


async def test_hanging_up_just_before_the_end_leaves_nothing(subject: Subject) -> None:
    await subject.idle()
    short: dict[str, Any] = {"max_tokens": 3, "n": 1}
    async with subject.http.stream("POST", CHAT, json=asked(subject, -1, **short)) as answer:
        async for text in answer.aiter_text():
            if '"finish_reason":"length"' in text:
                break
    await subject.idle()


async def test_many_clients_that_go_at_once_leave_nothing(subject: Subject) -> None:
    await subject.idle()
    tasks = [await reading(subject, asked(subject, at % 5)) for at in range(6)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await subject.idle()
    if subject.model != "recorded":
        assert (await subject.whole("Hello"))["choices"][0]["finish_reason"] == "stop"


async def test_the_engine_hears_of_it_at_once(engines: Contract) -> None:
    subject = await engines.subject("recorded")
    engines.recorded.hung_up.clear()
    await hang_up(await reading(subject, asked(subject, 3)))
    async with asyncio.timeout(5):
        await engines.recorded.hung_up.wait()
