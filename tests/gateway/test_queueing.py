"""Requests that wait in the gateway for a model with a limit, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.answers import as_vllm, chat_answer
from tests.support.fleets import figure
from tests.support.scripted import Heard, Play, ScriptedEngine, json_play, running
from tests.support.serving import Served, serving
from tests.support.waiting import until


async def seen(true: Callable[[], bool]) -> None:
    """Return when the condition holds."""

    async def asked() -> bool:
        return true()

    await until(asked)


class Gated(ScriptedEngine):
    """Answers when the gate of a request opens; each has its own, in the order of coming."""

    def __init__(self) -> None:
        super().__init__(answer=self._hold)
        self.gates: list[asyncio.Event] = []

    def _hold(self, _: Heard) -> Play:
        self.gates.append(asyncio.Event())
        whole = json_play(chat_answer())
        # White space first: who has a place has begun, and its first byte is not late.
        return Play([b" ", self.gates[-1], *whole.pieces])

    def said(self) -> list[str]:
        """Return what the requests said, in the order of coming."""
        return [heard.json()["messages"][0]["content"] for heard in self.heard]  # type: ignore[index]


class Scene:
    """A gateway before a gated engine, and the requests under way."""

    def __init__(self, engine: Gated, served: Served) -> None:
        self.engine = engine
        self.served = served
        self.asked: list[asyncio.Task[httpx.Response]] = []

    @property
    def waiting(self) -> int:
        queue = self.served.gateway.fleet.queue("big")
        assert queue is not None
        return queue.waiting

    async def ask(self, text: str, tier: str = "", **body: Any) -> httpx.Response:
        headers = {"x-weighbridge-priority": tier} if tier else {}
        body = {"model": "big", "messages": [{"role": "user", "content": text}]} | body
        return await self.served.http.post("/v1/chat/completions", json=body, headers=headers)

    async def begin(self, text: str) -> "asyncio.Task[httpx.Response]":
        """Ask, and wait until the engine has it."""
        task = asyncio.create_task(self.ask(text))
        await seen(lambda: text in self.engine.said())
        return task

    async def queue(self, text: str, **how: Any) -> "asyncio.Task[httpx.Response]":
        """Ask, and wait until it waits."""
        before = self.waiting
        task = asyncio.create_task(self.ask(text, **how))
        await seen(lambda: self.waiting > before)
        return task


@asynccontextmanager
async def scene(
    more: str = "max_concurrent: 1", rest: str = "", other: str = "http://127.0.0.1:9/v1"
) -> AsyncIterator[Scene]:
    engine = Gated()
    async with running(engine):
        text = f"""
engines:
  lab: {{kind: remote, url: "{engine.url}", health_interval_s: 60}}
  two: {{kind: remote, url: "{other}", health_interval_s: 60}}
models:
  big: {{engine: lab, upstream_model: toy, {more}}}
{rest}"""
        async with serving(text) as served:
            await served.ready()
            yield Scene(engine, served)


async def test_more_than_the_limit_wait_and_more_than_may_wait_are_told_when_to_come() -> None:
    async with scene("max_concurrent: 1, max_queued: 1") as here:
        first = await here.begin("one")
        second = await here.queue("two")
        refused = await here.ask("three")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "model_busy"
        assert "max_queued" in refused.json()["error"]["message"]
        assert refused.headers["retry-after"] == "1"
        metrics = here.served.gateway.metrics
        assert figure(metrics, "weighbridge_requests_waiting", [("model", "big")]) == 1
        assert figure(metrics, "weighbridge_queue_refusals_total", [("reason", "full")]) == 1
        assert here.engine.said() == ["one"]
        here.engine.gates[0].set()
        await seen(lambda: len(here.engine.gates) == 2)
        here.engine.gates[1].set()
        assert [(await task).status_code for task in (first, second)] == [200, 200]
        assert figure(metrics, "weighbridge_requests_waiting") == 0
        assert figure(metrics, "weighbridge_requests_total", [("outcome", "overloaded")]) == 1


async def test_who_is_more_urgent_by_header_field_or_tier_goes_first() -> None:
    async with scene() as here:
        asked = [await here.begin("running")]
        asked.append(await here.queue("flex", service_tier="flex"))
        asked.append(await here.queue("plain"))
        asked.append(await here.queue("by tier", service_tier="priority"))
        asked.append(await here.queue("by field", priority=-7))
        asked.append(await here.queue("by header", tier="-8", priority=9))
        for number in range(6):
            await seen(lambda: len(here.engine.gates) > number)  # noqa: B023 - awaited at once
            here.engine.gates[number].set()
        assert all(answer.status_code == 200 for answer in await asyncio.gather(*asked))
        assert here.engine.said() == [
            "running",
            "by header",
            "by field",
            "by tier",
            "plain",
            "flex",
        ]


async def test_a_client_that_leaves_the_queue_frees_its_place_and_never_reaches_the_engine() -> (
    None
):
    async with scene("max_concurrent: 1, max_queued: 1") as here:
        first = await here.begin("one")
        gone = await here.queue("gone")
        gone.cancel()
        await seen(lambda: here.waiting == 0)
        last = await here.queue("last")
        here.engine.gates[0].set()
        await seen(lambda: len(here.engine.gates) == 2)
        here.engine.gates[1].set()
        assert [(await task).status_code for task in (first, last)] == [200, 200]
        assert here.engine.said() == ["one", "last"]
        assert figure(here.served.gateway.metrics, "weighbridge_requests_in_flight") == 0


async def test_who_would_begin_too_late_is_refused_at_once() -> None:
    async with scene("max_concurrent: 1, first_byte_timeout_s: 60") as here:
        queue = here.served.gateway.fleet.queue("big")
        assert queue is not None
        queue.begin()
        queue.ended(100)  # as if one had taken so long
        first = await here.begin("one")
        refused = await here.ask("late")
        assert refused.status_code == 503
        assert "first_byte_timeout_s" in refused.json()["error"]["message"]
        assert 40 <= int(refused.headers["retry-after"]) <= 41
        here.engine.gates[0].set()
        assert (await first).status_code == 200


async def test_whose_turn_does_not_come_in_time_is_told_so() -> None:
    async with scene("max_concurrent: 1, first_byte_timeout_s: 0.3") as here:
        first = asyncio.create_task(here.ask("one"))
        await seen(lambda: here.engine.said() == ["one"])
        second = await here.ask("two")
        assert second.status_code == 503
        assert second.json()["error"]["code"] == "model_busy"
        assert here.waiting == 0
        here.engine.gates[0].set()
        assert (await first).status_code == 200


async def test_the_next_model_of_a_rule_serves_while_the_first_is_full() -> None:
    async with running(ScriptedEngine(answer=as_vllm)) as other:
        rest = "  next: {engine: two, upstream_model: toy}\nroutes: [{name: r, use: [big, next]}]\n"
        async with scene(rest=rest, other=other.url) as here:
            assert here.served.gateway.fleet.queue("next") is None
            first = await here.begin("one")
            assert (await here.ask("two", model="auto")).headers["x-weighbridge-model"] == "next"
            assert len(other.heard) == 1
            here.engine.gates[0].set()
            assert (await first).status_code == 200


@pytest.mark.parametrize("value", ["high", "1.5", "99999", ""])
async def test_a_priority_that_is_no_number_is_refused(value: str) -> None:
    async with scene() as here:
        headers = {"x-weighbridge-priority": value}
        body = {"model": "big", "messages": [{"role": "user", "content": "x"}]}
        answer = await here.served.http.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 400
        assert "x-weighbridge-priority" in answer.json()["error"]["message"]
