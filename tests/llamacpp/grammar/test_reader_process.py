"""The child that reads grammars lives and dies with its worker, and holds nobody else up."""

import asyncio
import signal
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.support.contract import CHAT, user
from tests.support.process import children, living
from tests.support.waiting import until
from tests.support.worker import END_S, working

# llguidance works on it for minutes.
POISON = {"type": "integer", "multipleOf": 1234567}


def held(schema: dict[str, Any]) -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    return {"messages": user("Hello"), "response_format": form}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_worker_that_ends_in_the_middle_of_a_reading_leaves_no_child(
    number: signal.Signals,
) -> None:
    with working("demo:qwen") as worker:
        async with worker.client() as http:
            asking = asyncio.ensure_future(http.post(CHAT, json=held(POISON)))

            async def has_child() -> bool:
                return bool(children(worker.process.pid))

            await until(has_child)
            (child,) = children(worker.process.pid)
            worker.process.send_signal(number)
            await asyncio.to_thread(worker.process.wait, END_S)
            with suppress(httpx.HTTPError):
                await asking

            async def is_gone() -> bool:
                return not living([child])

            await until(is_gone)


async def test_free_answers_come_while_a_bad_schema_is_read() -> None:
    with working("demo:qwen") as worker:
        async with worker.client() as http:
            bad = asyncio.ensure_future(http.post(CHAT, json=held(POISON)))
            free = await http.post(CHAT, json={"messages": user("Hello"), "max_tokens": 8})
            assert free.status_code == 200
            assert not bad.done()
            refused = await bad
            assert refused.status_code == 400
            assert "too much time" in refused.json()["error"]["message"]
            good = await http.post(CHAT, json=held({"enum": ["yes"]}))
            assert good.json()["choices"][0]["message"]["content"] == '"yes"'
