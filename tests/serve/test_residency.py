"""Real workers on llama.cpp within a budget for two of three: traffic, kill -9, and memory back."""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engines.memory import use_of
from tests.support.process import GatewayProcess, gateway_process
from tests.support.waiting import until

MIB = 2**20
BUDGET_MIB = 260
CONFIG = f"""
engines: {{cpu: {{kind: llamacpp, context: 4096, parallel: 4, prefix_cache_mib: 0}}}}
residency: {{memory: {BUDGET_MIB}MiB, swap_bound_s: 1, heartbeat_after_s: 0.5}}
models:
  q: {{engine: cpu, weights: "demo:qwen", keep_alive_s: 2}}
  c: {{engine: cpu, weights: "demo:coder", keep_alive_s: 2}}
  l: {{engine: cpu, weights: "demo:llama", keep_alive_s: 2}}
"""
MODELS = ("q", "c", "l")
CLIENTS, EACH = 6, 6


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    cache = {"WEIGHBRIDGE_CACHE": str(tmp_path / "cache")}
    with gateway_process(tmp_path, config=CONFIG, environ=cache) as started:
        yield started


async def figure(http: httpx.AsyncClient, name: str, **labels: str) -> float:
    text = (await http.get("/metrics")).text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    wanted = set(labels.items())
    return sum(s.value for s in samples if s.name == name and wanted <= set(s.labels.items()))


async def client(http: httpx.AsyncClient, number: int, told: list[str]) -> None:
    """Ask one model after the other, every second time for a stream."""
    chance = random.Random(number)  # noqa: S311 - the same traffic every time
    for turn in range(EACH):
        model, stream = chance.choice(MODELS), bool((turn + number) % 2)
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": f"Tell me {number} {turn}"}],
            "stream": stream,
            "max_tokens": chance.choice((8, 60)),
            "ignore_eos": True,
        }
        answer = await http.post("/v1/chat/completions", json=body)
        whole = answer.text.endswith("data: [DONE]\n\n") if stream else "choices" in answer.json()
        if answer.status_code != 200 or not whole:
            told.append(f"{model} {answer.status_code} {answer.text[-300:]}")


class Watch:
    """What all workers take together, looked at again and again."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self.peak_bytes = 0
        self.most_workers = 0

    async def run(self) -> None:
        while True:
            uses = await asyncio.to_thread(self._look)
            self.peak_bytes = max(self.peak_bytes, sum(uses))
            self.most_workers = max(self.most_workers, len(uses))
            await asyncio.sleep(0.05)

    def _look(self) -> list[int]:
        pids = self._gateway.workers().values()
        return [use.total_bytes for pid in pids if (use := use_of(pid)) is not None]


async def killed_amid_its_answer(gateway: GatewayProcess, http: httpx.AsyncClient) -> str:
    """Return a long stream's text, whose worker is killed when it has begun."""
    body = {
        "model": "l",
        "messages": [{"role": "user", "content": "Tell me all"}],
        "stream": True,
        "max_tokens": 3_000,
        "ignore_eos": True,
        "temperature": 0,
    }
    text, killed = "", False
    async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_text():
            text += piece
            if "data: " in text and not killed:
                killed = True
                os.kill(gateway.workers()["l"], signal.SIGKILL)
    return text


async def test_mixed_traffic_loses_no_request_keeps_to_the_budget_and_gives_memory_back(
    gateway: GatewayProcess,
) -> None:
    watch, told = Watch(gateway), list[str]()
    async with gateway.client() as http:
        watching = asyncio.create_task(watch.run())
        asking = [asyncio.create_task(client(http, n, told)) for n in range(CLIENTS)]
        text = await killed_amid_its_answer(gateway, http)
        assert text.endswith("data: [DONE]\n\n")
        assert '"finish_reason":"length"' in text
        await asyncio.gather(*asking)
        assert told == []
        assert await figure(http, "weighbridge_requests_total", outcome="ok") >= CLIENTS * EACH
        assert await figure(http, "weighbridge_stream_breaks_total", model="l") >= 1
        assert await figure(http, "weighbridge_model_unloads_total", reason="room") >= 1
        assert await figure(http, "weighbridge_requests_in_flight") == 0

        async def memory_is_back() -> bool:
            reserved = await figure(http, "weighbridge_memory_reserved_bytes")
            return not reserved and not gateway.workers()

        await until(memory_is_back)
        watching.cancel()
        assert 0 < watch.peak_bytes <= BUDGET_MIB * MIB, watch.peak_bytes / MIB
        assert watch.most_workers == 2
        answer = await http.post(
            "/v1/chat/completions",
            json={"model": "l", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4},
        )
        assert answer.status_code == 200
