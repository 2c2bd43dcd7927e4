"""The deadlines of a request through a whole gateway: which passed, and what the client is told."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import pytest

from gateway.fleet import Condition
from tests.support.answers import FIRST, chat_answer, chunk
from tests.support.scripted import Play, ScriptedEngine, events_play, json_play, running
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


async def test_a_whole_answer_begins_with_its_body_though_its_head_came_long_before() -> None:
    gate = asyncio.Event()
    async with running(ScriptedEngine()) as engine:
        engine.plays.append(Play([gate, *json_play(chat_answer()).pieces]))
        async with serving(config(engine, idle=0.05, first_byte=20)) as served:
            await served.ready()
            asyncio.get_running_loop().call_later(0.2, gate.set)
            answer = await served.http.post("/v1/chat/completions", json=ASK)
    assert answer.status_code == 200


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


@contextmanager
def deaf() -> Iterator[int]:
    """Give a port of loopback that takes no more connections, and refuses none."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # what the system lets wait is soon full
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_connection_that_is_not_made_in_time_is_told_by_its_own_key() -> None:
    with deaf() as port:
        engine = ScriptedEngine(port=port)
        async with serving(config(engine, connect=0.1)) as served:
            (replica,) = served.gateway.fleet
            served.gateway.fleet.update(replica, Condition.READY)
            status, error = await told(served)
    assert (status, error["code"]) == (504, "engine_timeout")
    assert "no connection within 0.1 s" in error["message"]
    assert "connect_timeout_s" in error["message"]


async def test_each_model_of_an_engine_has_its_own_deadline_and_the_rest_have_the_engines() -> None:
    async with running(ScriptedEngine(answer=lambda _: events_play(asyncio.Event()))) as engine:
        lab = f"{{kind: remote, url: '{engine.url}', first_byte_timeout_s: 0.2}}"
        text = f"""
engines: {{lab: {lab}}}
models:
  big: {{engine: lab, upstream_model: toy, first_byte_timeout_s: 0.05}}
  small: {{engine: lab, upstream_model: toy}}
"""
        async with serving(text) as served:
            await served.ready()
            for model, limit in (("big", "0.05"), ("small", "0.2")):
                status, error = await told(served, model=model)
                assert status == 504
                assert f"no answer within {limit} s" in error["message"]
