"""Copies for a second model: the client sees the first alone, and each copy is counted."""

import asyncio
from typing import Any

from gateway.domain import Outcome
from gateway.relay.shadows import Shadows
from tests.support.answers import STREAM, as_vllm
from tests.support.fleets import figure
from tests.support.scripted import CUT, Play, ScriptedEngine, events_play, json_play, running
from tests.support.serving import Served, serving
from tests.support.waiting import until

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello there, how are you?"}]}
CHAT = "/v1/chat/completions"


def config(first: ScriptedEngine, second: ScriptedEngine) -> str:
    return f"""
engines:
  one: {{kind: remote, url: "{first.url}", health_interval_s: 60}}
  two: {{kind: remote, url: "{second.url}", health_interval_s: 60}}
models:
  a: {{engine: one, upstream_model: toy}}
  b: {{engine: two, upstream_model: toy}}
routes: [{{name: r, use: a, shadow: {{model: b}}}}]
"""


async def counted(served: Served, outcome: str, copies: int = 1) -> None:
    """Return when so many copies have ended so."""
    labels = [("model", "b"), ("outcome", outcome)]

    async def told() -> bool:
        name = "weighbridge_shadow_requests_total"
        return figure(served.gateway.metrics, name, labels) == copies

    await until(told)


async def test_a_copy_is_sent_and_its_answer_dropped() -> None:
    async with (
        running(ScriptedEngine(answer=as_vllm)) as first,
        running(ScriptedEngine(answer=as_vllm)) as second,
        serving(config(first, second)) as served,
    ):
        await served.ready()
        answer = await served.http.post(CHAT, json=ASK)
        assert answer.headers["x-weighbridge-model"] == "a"
        await counted(served, "ok")
        assert second.heard[0].json() == first.heard[0].json()
        ids = [engine.heard[0].headers["x-request-id"] for engine in (first, second)]
        assert ids[1] == f"{ids[0]}-shadow"
        await served.http.post(CHAT, json=ASK | {"model": "a"})
        assert (len(first.heard), len(second.heard)) == (2, 1)  # who names a model gets no copy
        text = (await served.http.get("/metrics")).text
        assert 'weighbridge_shadow_duration_seconds_count{model="b"} 1.0' in text


async def test_a_stream_is_copied_as_a_stream() -> None:
    async with (
        running(ScriptedEngine(answer=lambda _: events_play(*STREAM))) as first,
        running(ScriptedEngine(answer=lambda _: events_play(*STREAM))) as second,
        serving(config(first, second)) as served,
    ):
        await served.ready()
        answer = await served.http.post(CHAT, json=ASK | {"stream": True})
        assert answer.text.count("[DONE]") == 1
        await counted(served, "ok")
        assert second.heard[0].json()["stream"] is True
        tokens = "weighbridge_completion_tokens_total"
        assert figure(served.gateway.metrics, tokens, [("model", "b")]) > 0


async def test_a_copy_that_fails_or_cannot_be_sent_is_nobodys_trouble() -> None:
    async with (
        running(ScriptedEngine(answer=as_vllm)) as first,
        running(ScriptedEngine()) as second,
        serving(config(first, second)) as served,
    ):
        await served.ready()
        second.plays.append(Play([b"{", CUT]))
        assert (await served.http.post(CHAT, json=ASK)).status_code == 200
        await counted(served, "engine_error")
        second.plays.append(json_play({"error": {"message": "no"}}, 400))
        assert (await served.http.post(CHAT, json=ASK)).status_code == 200
        await counted(served, "client_error")
    gone = ScriptedEngine(port=9)
    async with (
        running(ScriptedEngine(answer=as_vllm)) as first,
        serving(config(first, gone)) as served,
    ):
        await served.ready("a")
        assert (await served.http.post(CHAT, json=ASK)).status_code == 200
        await counted(served, "unavailable")


async def test_the_answer_does_not_wait_for_the_copy_which_ends_with_the_gateway() -> None:
    never = asyncio.Event()
    async with (
        running(ScriptedEngine(answer=as_vllm)) as first,
        running(ScriptedEngine(answer=lambda _: Play([b"{", never]))) as second,
    ):
        async with serving(config(first, second)) as served:
            await served.ready()
            assert (await served.http.post(CHAT, json=ASK)).status_code == 200
            (replica,) = served.gateway.fleet.views("b")
            assert replica.in_flight == 1
        assert second.hung_up.is_set()
        await counted(served, "cancelled")


async def test_beyond_the_bound_no_copy_is_begun() -> None:
    ended: list[tuple[Outcome, float | None]] = []
    gate = asyncio.Event()

    async def copy() -> Outcome:
        await gate.wait()
        return Outcome.OK

    shadows = Shadows(lambda _, outcome, s: ended.append((outcome, s)), lambda: 1.0, most=2)
    for _ in range(3):
        shadows.start("m", copy, 10)
    assert ended == [(Outcome.OVERLOADED, None)]
    await asyncio.sleep(0)
    await shadows.close()
    assert ended[1:] == [(Outcome.CANCELLED, 0.0)] * 2
    await shadows.close()


async def test_the_bodies_of_copies_under_way_are_bounded_too() -> None:
    ended: list[Outcome] = []
    gate = asyncio.Event()

    async def copy() -> Outcome:
        await gate.wait()
        return Outcome.OK

    shadows = Shadows(lambda _, outcome, __: ended.append(outcome), lambda: 1.0, most_bytes=100)
    shadows.start("m", copy, 60)
    shadows.start("m", copy, 60)
    assert ended == [Outcome.OVERLOADED]
    gate.set()

    async def both() -> bool:
        return ended == [Outcome.OVERLOADED, Outcome.OK]

    await until(both)
    shadows.start("m", copy, 100)

    async def all_of_them() -> bool:
        return ended.count(Outcome.OK) == 2

    await until(all_of_them)
