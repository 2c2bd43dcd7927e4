"""The deadlines of a request through a whole gateway: which passed, and what the client is told."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.support.answers import FIRST, chunk
from tests.support.scripted import ScriptedEngine, events_play, running
from tests.support.serving import Served, serving
from tests.support.streams import data_of

ASK: dict[str, Any] = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}
COMMENT = b": keep-alive\n\n"


def config(engine: ScriptedEngine, **limits: float) -> str:
    keys = "".join(f", {name}_timeout_s: {seconds}" for name, seconds in limits.items())
    return f"""
engines: {{lab: {{kind: remote, url: "{engine.url}", health_interval_s: 60}}}}
models: {{big: {{engine: lab, upstream_model: toy{keys}}}}}
"""


async def told(served: Served, **more: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the error that ended an answer."""
    async with asyncio.timeout(20):
        answer = await served.http.post("/v1/chat/completions", json=ASK | more)
    if answer.status_code != 200:
        return answer.status_code, answer.json()["error"]
    assert "[DONE]" not in answer.text
    error: dict[str, Any] = msgspec.json.decode(data_of(answer.text)[-1])["error"]
    return 200, error


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_does_not_begin_in_time_is_a_504(stream: bool) -> None:
    async with running(ScriptedEngine()) as engine:
        engine.plays.append(events_play(COMMENT, asyncio.Event()))
        async with serving(config(engine, first_byte=0.05)) as served:
            await served.ready()
            status, error = await told(served, stream=stream)
            await asyncio.wait_for(engine.hung_up.wait(), 20)
    assert (status, error["code"]) == (504, "engine_timeout")
    assert "no answer within 0.05 s" in error["message"]
    assert "first_byte_timeout_s" in error["message"]


async def test_silence_in_the_middle_ends_a_stream_though_comments_come() -> None:
    async with running(ScriptedEngine()) as engine:
        gates = [asyncio.Event() for _ in range(3)]
        pieces = [piece for gate in gates for piece in (COMMENT, gate)]
        engine.plays.append(events_play(FIRST, chunk("It "), *pieces, asyncio.Event()))
        async with serving(config(engine, idle=0.1)) as served:
            await served.ready()
            asking = asyncio.create_task(told(served, stream=True))
            for gate in gates:
                await asyncio.wait([asking], timeout=0.03)
                gate.set()
            status, error = await asking
    assert (status, error["code"]) == (200, "engine_timeout")
    assert "no more of the answer within 0.1 s" in error["message"]
    assert "idle_timeout_s" in error["message"]


async def test_an_answer_that_goes_on_for_too_long_ends_though_it_lives() -> None:
    async with running(ScriptedEngine()) as engine:
        gates = [asyncio.Event() for _ in range(2_000)]
        pieces = [piece for gate in gates for piece in (chunk("more "), gate)]
        engine.plays.append(events_play(FIRST, *pieces, asyncio.Event()))
        async with serving(config(engine, total=0.3)) as served:
            await served.ready()
            asking = asyncio.create_task(told(served, stream=True))
            for gate in gates:
                gate.set()
                done, _ = await asyncio.wait([asking], timeout=0.01)
                if done:
                    break
            status, error = await asking
    assert (status, error["code"]) == (200, "engine_timeout")
    assert "no end of the answer within 0.3 s" in error["message"]
    assert "total_timeout_s" in error["message"]
