"""What the gateway counts, against what a real llama.cpp worker says that it did."""

import asyncio
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.contract import CHAT, COMPLETIONS, user
from tests.support.serving import serving
from tests.support.waiting import until
from tests.support.worker import figures, working

FINISHED, GONE = 900, 100
AT_ONCE = 16
MOST, ENDLESS = 12, 300
IN_FLIGHT = 20  # tokens between what a client has read and where the engine stops; 5 as a rule


def asked(number: int) -> tuple[str, dict[str, Any]]:
    """Return one of many kinds of request: both endpoints, streamed or not, long and short."""
    body: dict[str, Any] = {"model": "m", "max_tokens": 1 + number % MOST, "temperature": 0.9}
    if number % 3:
        body["stream"] = True
    if number % 3 == 2:
        body["stream_options"] = {"include_usage": True}
    text = f"Hello {number % 50} \N{GRINNING FACE} {'again ' * (number % 7)}"
    if number % 2:
        return COMPLETIONS, body | {"prompt": text}
    return CHAT, body | {"messages": user(text), "stop": ["zz"]}


async def finish(http: httpx.AsyncClient, number: int) -> None:
    path, body = asked(number)
    answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text


async def leave(http: httpx.AsyncClient, number: int) -> None:
    """Hang up after some events of a stream that would go on for long."""
    body = {"model": "m", "messages": user("Hello"), "stream": True, "ignore_eos": True}
    heard = 0
    async with http.stream("POST", CHAT, json=body | {"max_tokens": ENDLESS}) as answer:
        async for piece in answer.aiter_text():
            heard += piece.count("data: ")
            if heard > number % 20:
                return


async def counted(http: httpx.AsyncClient) -> dict[str, float]:
    """Return what the gateway has counted, by short names; requests by outcome."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families((await http.get("/metrics")).text):
        for sample in family.samples:
            name = sample.labels.get("outcome", sample.name.removeprefix("weighbridge_"))
            found[name] = sample.value
    return found


async def test_what_an_engine_does_not_tell_is_an_estimate_off_by_what_was_in_flight() -> None:
    turn = asyncio.Semaphore(AT_ONCE)
    with working("demo:qwen", ("--parallel=16",)) as worker:
        text = f"""
engines: {{lab: {{kind: remote, url: "{worker.url}/v1", health_interval_s: 60}}}}
models: {{m: {{engine: lab, upstream_model: demo-qwen}}}}
"""
        async with serving(text) as served, worker.client() as engine:
            http = served.http
            await served.ready()
            for replica in served.gateway.fleet:
                replica.tells_uses = False  # as other engines are

            async def one(number: int) -> None:
                async with turn:
                    await (finish if number < FINISHED else leave)(http, number)

            async def is_idle() -> bool:
                mine, its = await counted(http), await figures(engine)
                busy = its["requests_running"] + its["requests_waiting"]
                return mine["requests_in_flight"] + busy == 0

            await asyncio.gather(*(one(number) for number in range(FINISHED)))
            await until(is_idle)
            mine, its = await counted(http), await figures(engine)
            assert mine["ok"] == FINISHED
            assert mine["completion_tokens_total"] == its["completion_tokens"]
            assert mine["prompt_tokens_total"] == its["prompt_tokens"] + its["cached_tokens"]
            assert mine["completion_tokens_estimated_total"] == 0

            before = its["completion_tokens"] - mine["completion_tokens_total"]
            await asyncio.gather(*(one(FINISHED + number) for number in range(GONE)))
            await until(is_idle)
            mine, its = await counted(http), await figures(engine)
            assert mine["ok"] + mine["cancelled"] == FINISHED + GONE
            assert mine["completion_tokens_estimated_total"] > 0
            missed = its["completion_tokens"] - mine["completion_tokens_total"] - before
            assert 0 <= missed < GONE * IN_FLIGHT
