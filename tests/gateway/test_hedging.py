"""A request that is late is sent to a second replica too: one answers, the other is cut off."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import pytest

from engines.protocol.requests import ChatRequest
from gateway.asking import Incoming
from gateway.domain import Endpoint, Outcome
from gateway.fleet import Lease
from gateway.fleet.leasing import Leasing
from gateway.relay.shadows import Nowhere
from tests.support.answers import STREAM, as_vllm, chat_answer
from tests.support.fleets import figure
from tests.support.scripted import Heard, Play, ScriptedEngine, events_play, json_play, running
from tests.support.serving import Served, serving
from tests.support.waiting import until

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}


@dataclass
class Moody(ScriptedEngine):
    """Answers at once, or as its `mood` says: never, wrongly, or when its gate opens."""

    mood: str = "quick"
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answer = self._by_mood

    def _by_mood(self, heard: Heard) -> Play:
        if self.mood == "failing":
            return Play([self.gate, b"{}"], 500)
        if self.mood == "refusing":
            return Play([self.gate, b"x"], 400)
        play = as_vllm(heard)
        if self.mood == "slow":
            return Play([self.gate, *play.pieces], play.status, play.kind)
        return play


@dataclass(frozen=True)
class Scene:
    served: Served
    engines: tuple[Moody, Moody]

    async def ask(self, *, stream: bool = False) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
        return await self.served.http.post(CHAT, json=body)

    def count(self, name: str, **labels: str) -> float:
        return figure(self.served.gateway.metrics, f"weighbridge_{name}", labels.items())

    async def heard(self, engine: Moody) -> None:
        """Wait until an engine has got another request."""
        before = len(engine.heard)

        async def has_heard() -> bool:
            return len(engine.heard) > before

        await until(has_heard)

    async def asked_first(self) -> tuple[Moody, Moody]:
        """Return the engine that the next request goes to, and the other."""
        before = len(self.engines[0].heard)
        await self.ask()
        first = self.engines[0] if len(self.engines[0].heard) == before else self.engines[1]
        return first, self.engines[self.engines[0] is first]


@asynccontextmanager
async def scene(hedge: str = "hedge: {share: 1, least_s: 0.05}") -> AsyncIterator[Scene]:
    one, two = Moody(), Moody()
    async with running(one), running(two):
        text = f"""
gateway: {{prefix_affinity: false}}
engines: {{lab: {{kind: remote, url: ["{one.url}", "{two.url}"], health_interval_s: 60}}}}
models: {{m: {{engine: lab, upstream_model: toy, {hedge}}}}}
"""
        async with serving(text) as served:
            await served.until(lambda: all(replica.ready for replica in served.gateway.fleet))
            here = Scene(served, (one, two))
            for stream in (True, False):
                for _ in range(20):
                    assert (await here.ask(stream=stream)).status_code == 200
            yield here


async def settled(here: Scene) -> None:
    async def is_idle() -> bool:
        return here.count("requests_in_flight") == 0

    await until(is_idle)
    assert here.count("outstanding_tokens") == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_second_replica_answers_where_the_first_is_late(stream: bool) -> None:
    async with scene() as here:
        late, _ = await here.asked_first()
        late.mood = "slow"
        answer = await here.ask(stream=stream)
        assert answer.status_code == 200
        assert "weighs." in answer.text
        assert here.count("hedges_total", result="won") == 1
        assert here.count("requests_total", outcome=Outcome.HEDGED.value) == 1
        assert here.count("requests_total", outcome=Outcome.OK.value) == 42
        async with asyncio.timeout(5):
            await late.hung_up.wait()
        await settled(here)


async def test_the_first_may_be_quicker_after_all() -> None:
    async with scene() as here:
        late, other = await here.asked_first()
        late.mood = other.mood = "slow"
        task = asyncio.create_task(here.ask())
        await here.heard(other)
        late.gate.set()
        assert (await task).status_code == 200
        assert here.count("hedges_total", result="lost") == 1
        async with asyncio.timeout(5):
            await other.hung_up.wait()
        await settled(here)


async def test_where_the_first_fails_late_the_second_alone_counts() -> None:
    async with scene() as here:
        late, other = await here.asked_first()
        late.mood, other.mood = "failing", "slow"
        task = asyncio.create_task(here.ask())
        await here.heard(other)
        late.gate.set()

        async def has_failed() -> bool:
            return here.count("requests_total", outcome=Outcome.ENGINE_ERROR.value) == 1

        await until(has_failed)
        other.gate.set()
        assert (await task).status_code == 200
        assert here.count("hedges_total", result="won") == 1
        await settled(here)


async def test_a_late_request_that_no_other_replica_is_free_for_spends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A quiet model may double ten, and eleven are late."""
    looked_for, another = 0, Leasing.another

    async def counted(*asked: Any) -> Lease | None:
        nonlocal looked_for
        looked_for += 1
        return await another(*asked)

    async def have_looked() -> bool:
        return looked_for == 11

    monkeypatch.setattr(Leasing, "another", counted)
    async with scene("hedge: {share: 0.001, least_s: 0.05}") as here:
        late, _ = await here.asked_first()
        late.mood = "slow"
        (resting,) = (
            one for one in here.served.gateway.fleet if one.plan.address.port != late.port
        )
        resting.breaker.rest(60, time.perf_counter())
        asked = [asyncio.create_task(here.ask()) for _ in range(11)]
        await until(have_looked)
        late.gate.set()
        assert {(await one).status_code for one in asked} == {200}


async def test_a_clients_fault_ends_both() -> None:
    async with scene() as here:
        late, other = await here.asked_first()
        late.mood, other.mood = "refusing", "slow"
        task = asyncio.create_task(here.ask())
        await here.heard(other)
        late.gate.set()
        assert (await task).status_code == 400
        async with asyncio.timeout(5):
            await other.hung_up.wait()
        await settled(here)


async def test_a_client_that_leaves_cuts_off_both() -> None:
    async with scene() as here:
        late, other = await here.asked_first()
        late.mood = other.mood = "slow"
        task = asyncio.create_task(here.ask())
        await here.heard(other)
        task.cancel()
        async with asyncio.timeout(5):
            await late.hung_up.wait()
            await other.hung_up.wait()
        await settled(here)
        assert here.count("requests_total", outcome=Outcome.CANCELLED.value) == 2


async def test_a_stream_that_has_begun_is_never_sent_twice() -> None:
    async with scene() as here:
        first, other = await here.asked_first()
        gate = asyncio.Event()
        first.answer = lambda _: events_play(STREAM[0], STREAM[1], gate, *STREAM[2:])
        heard = len(other.heard)
        task = asyncio.create_task(here.ask(stream=True))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.shield(task)
        gate.set()
        assert "weighs." in (await task).text
        assert len(other.heard) == heard
        assert here.count("hedges_total") == 0


async def test_without_the_key_nobody_is_asked_twice() -> None:
    async with scene(hedge="") as here:
        late, other = await here.asked_first()
        late.answer = lambda _: Play([late.gate, *json_play(chat_answer()).pieces])
        heard = len(other.heard)
        task = asyncio.create_task(here.ask())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.shield(task)
        late.gate.set()
        assert (await task).status_code == 200
        assert len(other.heard) == heard


async def test_a_client_that_leaves_as_soon_as_it_has_asked_leaves_its_replica_free() -> None:
    async with running(Moody()) as engine:
        text = f"""
engines: {{lab: {{kind: remote, url: "{engine.url}", health_interval_s: 60}}}}
models: {{m: {{engine: lab, upstream_model: toy, max_concurrent: 1, hedge: {{share: 1}}}}}}
"""
        async with serving(text) as served:
            await served.ready()
            body = b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}'
            request = msgspec.json.decode(body, type=ChatRequest)
            incoming = Incoming(Endpoint.CHAT, body, request, (), "id", time.perf_counter())
            asking = asyncio.create_task(served.gateway.dispatcher.dispatch(incoming, Nowhere()))
            # In the turn of the loop in which it was given a replica, before anything was sent.
            asyncio.get_running_loop().call_soon(asking.cancel)
            await asyncio.wait([asking])
            assert asking.cancelled()
            assert figure(served.gateway.metrics, "weighbridge_requests_in_flight") == 0
            assert (await served.http.post(CHAT, content=body, headers=JSON)).status_code == 200
