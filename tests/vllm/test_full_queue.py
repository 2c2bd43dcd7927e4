"""A real vLLM that has no room: who names it is told when to come again, rules go to the next."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.process import GatewayProcess, gateway_process
from tests.support.vllm import QWEN, engine, wait_ready

CONFIG = """
gateway: {{retry_share: 1}}
engines:
  gpu: {gpu}
  cpu: {{kind: llamacpp, context: 512, parallel: 8, prefix_cache_mib: 0}}
models:
  tiny-qwen2: {{engine: gpu, weights: "{toys}/qwen2"}}
  llama: {{engine: cpu, weights: "demo:llama"}}
routes:
  - {{name: default, use: [tiny-qwen2, llama]}}
"""
# As many as may be tried again at once; each takes vLLM far longer than all take to come.
CLIENTS = 8


@pytest.fixture(scope="module")
def gateway(
    venv: Path, toys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    gpu = engine(venv, parallel=1, max_waiting=1)
    text = CONFIG.format(gpu=gpu, toys=toys)
    with gateway_process(tmp_path_factory.mktemp("full"), config=text) as started:
        wait_ready(started, QWEN, "llama")
        yield started


async def ask_all(gateway: GatewayProcess, model: str) -> list[httpx.Response]:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Tell me a story"}],
        "max_tokens": 400,
        "ignore_eos": True,
    }
    async with gateway.client() as http:
        asked = (http.post("/v1/chat/completions", json=body) for _ in range(CLIENTS))
        return list(await asyncio.gather(*asked))


async def test_who_names_it_is_told_that_it_is_full_and_when_to_come_again(
    gateway: GatewayProcess,
) -> None:
    answers = await ask_all(gateway, QWEN)
    refused = [one for one in answers if one.status_code != 200]
    assert 0 < len(refused) < CLIENTS
    for one in refused:
        assert one.status_code in (429, 503), one.text
        assert int(one.headers["retry-after"]) >= 1
        assert one.json()["error"]["message"]


async def test_a_rule_goes_on_to_the_next_model(gateway: GatewayProcess) -> None:
    answers = await ask_all(gateway, "auto")
    assert {one.status_code for one in answers} == {200}, [one.text for one in answers]
    assert "llama" in {one.headers["x-weighbridge-model"] for one in answers}
