"""A thousand requests of all kinds and fates on two real llama.cpp workers: every token counts."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.breaking import breaking
from tests.support.contract import CHAT, COMPLETIONS, user
from tests.support.serving import Served, serving
from tests.support.waiting import until
from tests.support.worker import figures, working

REQUESTS, AT_ONCE = 1_000, 24
# The worker of fewer places refuses some, which are then tried on the other.
PLACES = (16, 6)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ENDLESS = {"messages": user("Hello"), "ignore_eos": True, "max_tokens": 300, "stream": True}


@dataclass(frozen=True)
class Scene:
    """A gateway, the two workers behind it, and how its requests have ended."""

    served: Served
    workers: tuple[httpx.AsyncClient, ...]
    fates: Counter[str]

    async def mine(self) -> dict[str, float]:
        """Return what the gateway has counted over all its replicas, by names without prefix."""
        found: dict[str, float] = defaultdict(float)
        text = (await self.served.http.get("/metrics")).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removeprefix("weighbridge_").removesuffix("_total")
                found[f"{name} {sample.labels.get('outcome', '')}".strip()] += sample.value
        return found

    async def theirs(self) -> dict[str, float]:
        """Return what the workers have counted."""
        found: dict[str, float] = defaultdict(float)
        for worker in self.workers:
            for name, value in (await figures(worker)).items():
                found[name] += value
        return found

    async def is_idle(self) -> bool:
        mine, its = await self.mine(), await self.theirs()
        busy = its["requests_running"] + its["requests_waiting"] + mine["requests_in_flight"]
        return not busy and not self.served.gateway.uses.open


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        workers = [stack.enter_context(_worker(places)) for places in PLACES]
        direct = [await stack.enter_async_context(worker.client()) for worker in workers]
        wires = [
            await stack.enter_async_context(breaking(workers[0].url, how, at))
            for how, at in (("malformed", 4), ("cut", 3), ("malformed", 1))
        ]
        urls = [f"{worker.url}/v1" for worker in workers] + [wire.url for wire in wires]
        text = f"""
gateway: {{retry_share: 1, breaker_failures: 1000}}
engines: {{lab: {{kind: remote, url: {urls}, health_interval_s: 60}}}}
models:
  m: {{engine: lab, upstream_model: demo-qwen}}
  hasty: {{engine: lab, upstream_model: demo-qwen, total_timeout_s: 0.2}}
"""
        served = await stack.enter_async_context(serving(text))
        await served.until(lambda: all(replica.ready for replica in served.gateway.fleet))
        yield Scene(served, tuple(direct), Counter())


def _worker(places: int) -> Any:
    return working("demo:qwen", ("--parallel=8", f"--max-waiting={places}"))


async def whole(here: Scene, number: int) -> None:
    """An answer to its end: both endpoints, streamed or not, with tools or without."""
    body: dict[str, Any] = {"model": "m", "max_tokens": 1 + number % 12, "temperature": 0.9}
    if number % 3:
        body["stream"] = True
    if number % 3 == 2:
        body["stream_options"] = {"include_usage": True}
    path, text = CHAT, f"Hello {number % 50} {'again ' * (number % 7)}"
    if number % 5 == 0:
        text = "What is the weather in Berlin and Rome?"
        body |= {"messages": user(text), "tools": [WEATHER], "max_tokens": 60}
    elif number % 2:
        path, body["prompt"] = COMPLETIONS, text
    else:
        body["messages"] = user(text)
    await _told(here, path, body)


async def refused(here: Scene, number: int) -> None:
    """A request that the engine refuses."""
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": number}}}
    await _told(here, CHAT, {"model": "m", "messages": user("x"), "response_format": wrong})


async def late(here: Scene, number: int) -> None:
    """A request that runs into its deadline."""
    body = ENDLESS | {"model": "hasty", "max_tokens": 2_000, "stream": bool(number % 2)}
    await _told(here, CHAT, body)


async def left(here: Scene, number: int) -> None:
    """A stream that its client leaves after some events."""
    heard = 0
    async with here.served.http.stream("POST", CHAT, json=ENDLESS | {"model": "m"}) as answer:
        async for piece in answer.aiter_text():
            heard += piece.count("data: ")
            if heard > number % 20:
                break
    here.fates["left"] += 1


async def hung_up(here: Scene, number: int) -> None:
    """A client that waits for a whole answer, and goes: at once, or after a moment."""
    body = ENDLESS | {"model": "m", "stream": False}
    try:
        async with asyncio.timeout(0.002 * (number % 90)):
            await here.served.http.post(CHAT, json=body)
    except TimeoutError:
        here.fates["hung up"] += 1


async def _told(here: Scene, path: str, body: dict[str, Any]) -> None:
    answer = await here.served.http.post(path, json=body)
    ended = "error" in answer.text.rpartition("data: {")[2] if answer.is_success else False
    here.fates["broken" if ended else str(answer.status_code)] += 1


KINDS = (whole, whole, whole, whole, whole, whole, left, hung_up, late, refused)


async def test_every_token_of_a_thousand_requests_is_counted_as_the_engines_count_it() -> None:
    turn = asyncio.Semaphore(AT_ONCE)
    async with scene() as here:

        async def one(number: int) -> None:
            async with turn:
                await KINDS[number % len(KINDS)](here, number // len(KINDS) * 7 + number)

        await asyncio.gather(*(one(number) for number in range(REQUESTS)))
        await until(here.is_idle)
        mine, theirs = await here.mine(), await here.theirs()
        for outcome in ("ok", "client_error", "timeout", "cancelled", "engine_error"):
            assert mine[f"requests {outcome}"] > 0, (outcome, here.fates)
        assert mine["retries"] > 0
        assert mine["stream_breaks"] > 0
        assert mine["completion_tokens_undelivered"] > 0
        assert mine["completion_tokens"] == theirs["completion_tokens"]
        assert mine["prompt_tokens"] == theirs["prompt_tokens"] + theirs["cached_tokens"]
        assert mine["completion_tokens_estimated"] == 0
        assert mine["outstanding_tokens"] == 0
