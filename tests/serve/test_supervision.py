"""Workers that die, cannot start, or are not up yet, under a gateway with real ones."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.process import GatewayProcess, gateway_process, living, run_command
from tests.support.streams import data_of
from tests.support.waiting import until

CONFIG = """
engines:
  cpu: {kind: llamacpp}
models:
  a: {engine: cpu, weights: "demo:qwen", on_break: fail}
  b: {engine: cpu, weights: "demo:qwen"}
  two: {engine: cpu, weights: "demo:qwen", replicas: 2}
  gone: {engine: cpu, weights: ./gone.gguf}
  broken: {engine: cpu, weights: ./broken.gguf}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("supervised")
    (folder / "broken.gguf").write_bytes(b"no model at all")
    with gateway_process(folder, config=CONFIG) as started:
        yield started


def ask(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}]} | more


async def replicas(http: httpx.AsyncClient, model: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = (await http.get("/ready")).json()["models"][model]["replicas"]
    return told


async def all_ready(http: httpx.AsyncClient, *models: str) -> None:
    async def are_ready() -> bool:
        states = [one["state"] for model in models for one in await replicas(http, model)]
        return set(states) == {"ready"}

    await until(are_ready)


async def figure(http: httpx.AsyncClient, name: str, model: str) -> float:
    """Return a figure of a model, its replicas added up."""
    text = (await http.get("/metrics")).text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return sum(s.value for s in samples if s.name == name and s.labels["model"] == model)


async def read(http: httpx.AsyncClient, model: str, begun: asyncio.Event) -> str:
    """Return a long stream's text; `begun` is set at its first piece."""
    body = ask(model, stream=True, ignore_eos=True, max_tokens=1_000)
    text = ""
    async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_text():
            text += piece
            begun.set()
    return text


async def test_the_first_request_waits_for_a_worker_that_is_starting(
    gateway: GatewayProcess,
) -> None:
    async with gateway.client() as http:
        await all_ready(http, "a")  # the test before may have killed it
        os.kill(gateway.workers()["a"], signal.SIGKILL)

        async def noticed() -> bool:
            return "ready" not in [one["state"] for one in await replicas(http, "a")]

        await until(noticed)
        answer = await http.post("/v1/chat/completions", json=ask("a"))
        assert answer.status_code == 200
        assert await figure(http, "weighbridge_queue_seconds_sum", "a") > 0.05


async def test_streams_of_a_killed_worker_end_with_an_error_and_the_others_go_on(
    gateway: GatewayProcess,
) -> None:
    async with gateway.client() as http:
        await all_ready(http, "a", "b")
        restarts = await figure(http, "weighbridge_engine_restarts_total", "a")
        begun = [asyncio.Event() for _ in range(8)]
        reading = [
            asyncio.create_task(read(http, model, event))
            for model, event in zip("aaaabbbb", begun, strict=True)
        ]
        for event in begun:
            await event.wait()
        # Stopped first, so that none of its streams can end before the kill.
        worker = gateway.workers()["a"]
        os.kill(worker, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        for text in await asyncio.gather(*reading[4:]):
            assert text.endswith("data: [DONE]\n\n")
            assert '"finish_reason":"length"' in text
        for text in await asyncio.gather(*reading[:4]):
            error = msgspec.json.decode(data_of(text)[-1])["error"]
            assert error["code"] == "engine_error"
            assert "[DONE]" not in text
        await all_ready(http, "a", "b")
        assert not living([worker])
        assert (await http.post("/v1/chat/completions", json=ask("a"))).status_code == 200
        assert await figure(http, "weighbridge_engine_restarts_total", "a") == restarts + 1
        assert await figure(http, "weighbridge_engine_up", "a") == 1
        assert await figure(http, "weighbridge_requests_in_flight", "a") == 0
        assert await figure(http, "weighbridge_engine_restarts_total", "b") == 0


async def test_what_had_not_begun_is_answered_by_the_other_replica(
    gateway: GatewayProcess,
) -> None:
    async with gateway.client() as http:
        await all_ready(http, "two")
        os.kill(gateway.workers()["two"], signal.SIGKILL)
        answers = await asyncio.gather(
            *(http.post("/v1/chat/completions", json=ask("two")) for _ in range(8))
        )
        assert [answer.status_code for answer in answers] == [200] * 8
        await all_ready(http, "two")


@pytest.mark.parametrize(
    ("model", "why"),
    [("gone", "there is no file './gone.gguf'"), ("broken", "broken.gguf is not a GGUF file")],
)
async def test_a_model_that_cannot_start_says_why_and_harms_nobody(
    gateway: GatewayProcess, model: str, why: str
) -> None:
    async with gateway.client() as http:
        state = (await http.get("/ready")).json()
        assert state["status"] == "ready"
        assert state["models"][model]["state"] == "failed"
        assert why in state["models"][model]["reason"]
        assert await figure(http, "weighbridge_engine_up", model) == 0
        began_s = time.monotonic()
        answer = await http.post("/v1/chat/completions", json=ask(model))
        assert time.monotonic() - began_s < 20  # queue_timeout_s is 30: nobody waited
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "model_unavailable"
        assert why in answer.json()["error"]["message"]
        assert answer.headers["x-should-retry"] == "false"
    table = await asyncio.to_thread(run_command, Path.cwd(), "models", "--url", gateway.url)
    assert table.returncode == 0
    row = next(line for line in table.stdout.splitlines() if line.startswith(f"{model} "))
    assert f"failed: {why}" in row or why in row
    assert "0/1 ready" in row


async def test_a_worker_that_ends_by_itself_is_started_again(tmp_path: Path) -> None:
    config = 'engines: {cpu: {kind: llamacpp}}\nmodels: {m: {engine: cpu, weights: "demo:qwen"}}'
    with gateway_process(tmp_path, config=config) as started:
        async with started.client() as http:
            await all_ready(http, "m")
            first = started.workers()["m"]
            os.kill(first, signal.SIGTERM)

            async def replaced() -> bool:
                (told,) = await replicas(http, "m")
                return (told["state"], told["restarts"]) == ("ready", 1)

            await until(replaced)
            assert started.workers()["m"] != first
