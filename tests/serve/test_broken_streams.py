"""Streams of real llama.cpp workers that break at token 40 of 60, and what the client gets."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import WorkerOf
from tests.support.breaking import breaking
from tests.support.contract import CHAT, COMPLETIONS, user
from tests.support.process import gateway_process
from tests.support.serving import serving
from tests.support.streams import Event, events_of, finishes, said
from tests.support.waiting import until

TOKENS, AT = 60, 40
STORY: dict[str, Any] = {
    "model": "m",
    "messages": user("Tell me a story."),
    "temperature": 0,
    "max_tokens": TOKENS,
    "stream": True,
    "stream_options": {"include_usage": True},
}
FURTHER = {key: value for key, value in STORY.items() if key != "messages"} | {
    "prompt": "<|im_start|>user\nTell me a story.<|im_end|>\n<|im_start|>assistant\n"
}
ASKED = {CHAT: STORY, COMPLETIONS: FURTHER}


async def stream(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[Event]:
    answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return events_of(answer.text)


def same(events: list[Event], unbroken: list[Event]) -> None:
    """Assert that nobody could tell a stream from the unbroken one but by its mark."""
    assert said(events) == said(unbroken)
    assert finishes(events) == finishes(unbroken) == ["length"]
    assert len({(event["id"], event["created"], event["model"]) for event in events}) == 1
    for kind in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert events[-1]["usage"][kind] == unbroken[-1]["usage"][kind]
    assert unbroken[-1]["usage"]["completion_tokens"] == TOKENS
    assert events[-2]["weighbridge"] == {"continued": 1}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("how", ["cut", "stalled", "malformed"])
async def test_another_worker_goes_on_and_the_client_gets_the_same_tokens(
    worker_of: WorkerOf, how: str, path: str
) -> None:
    one, two = worker_of("demo:qwen"), worker_of("demo:qwen", "--parallel=2")
    at = AT + (path == CHAT)  # a conversation's first event is the role
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(breaking(w.url, how, at)) for w in (one, two)]
        text = f"""
engines: {{lab: {{kind: remote, url: ["{wires[0].url}", "{wires[1].url}"], health_interval_s: 60}}}}
models: {{m: {{engine: lab, upstream_model: demo-qwen, idle_timeout_s: 0.5}}}}
"""
        served = await stack.enter_async_context(serving(text))
        await served.until(lambda: not served.gateway.fleet.why_not(["m"]))
        async with one.client() as direct:
            unbroken = await stream(direct, path, ASKED[path] | {"model": "demo-qwen"})
        events = await stream(served.http, path, ASKED[path])
        assert [wire.broken for wire in wires].count(True) == 1
        same(events, unbroken)


async def test_an_answer_behind_a_thought_goes_on_and_all_its_tokens_are_counted(
    worker_of: WorkerOf,
) -> None:
    one, two = worker_of("demo:qwen"), worker_of("demo:qwen", "--parallel=2")
    body = STORY | {"messages": user("Is 91 a prime number?")}
    async with one.client() as direct:
        unbroken = await stream(direct, CHAT, body | {"model": "demo-qwen"})
    contents = [at for at, event in enumerate(unbroken) if said([event])]
    assert thought_of(unbroken)
    assert len(contents) > 4
    async with AsyncExitStack() as stack:
        at = contents[2] + 1
        wires = [await stack.enter_async_context(breaking(w.url, "cut", at)) for w in (one, two)]
        text = f"""
engines: {{lab: {{kind: remote, url: ["{wires[0].url}", "{wires[1].url}"], health_interval_s: 60}}}}
models: {{m: {{engine: lab, upstream_model: demo-qwen}}}}
"""
        served = await stack.enter_async_context(serving(text))
        await served.until(lambda: not served.gateway.fleet.why_not(["m"]))
        for replica in served.gateway.fleet:  # ours are known to take a thought back
            replica.plan = replace(replica.plan, exact_seams=True)
        events = await stream(served.http, CHAT, body)
    assert [wire.broken for wire in wires].count(True) == 1
    assert (said(events), thought_of(events)) == (said(unbroken), thought_of(unbroken))
    assert finishes(events) == finishes(unbroken) == ["stop"]
    assert events[-2]["weighbridge"] == {"continued": 1}
    for kind in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert events[-1]["usage"][kind] == unbroken[-1]["usage"][kind]


def thought_of(events: list[Event]) -> str:
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    return "".join(delta.get("reasoning_content") or "" for delta in deltas)


async def test_a_single_worker_is_waited_for_and_goes_on_with_its_own_streams(
    tmp_path: Path,
) -> None:
    config = 'engines: {cpu: {kind: llamacpp}}\nmodels: {m: {engine: cpu, weights: "demo:qwen"}}'
    with gateway_process(tmp_path, config=config) as gateway:
        async with gateway.client() as http:

            async def is_ready() -> bool:
                return bool((await http.get("/ready")).json()["models"]["m"]["state"] == "ready")

            await until(is_ready)
            unbroken = await stream(http, CHAT, STORY)
            begun = [asyncio.Event() for _ in range(4)]
            reading = [asyncio.create_task(read(http, event)) for event in begun]
            for event in begun:
                await event.wait()
            # Stopped first, so that none of its streams can end before the kill.
            (worker,) = gateway.workers().values()
            os.kill(worker, signal.SIGSTOP)
            os.kill(worker, signal.SIGKILL)
            for events in await asyncio.gather(*reading):
                same_or_whole(events, unbroken)


async def read(http: httpx.AsyncClient, begun: asyncio.Event) -> list[Event]:
    """Return a stream's events; `begun` is set at its first piece."""
    text = ""
    async with http.stream("POST", CHAT, json=STORY) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_text():
            text += piece
            begun.set()
    return events_of(text)


def same_or_whole(events: list[Event], unbroken: list[Event]) -> None:
    """Assert the same tokens; a stream that had all of them when its worker died has no mark."""
    if "weighbridge" in events[-2]:
        same(events, unbroken)
    else:
        assert said(events) == said(unbroken)
