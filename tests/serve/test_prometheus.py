"""A real Prometheus scrapes a gateway with real workers, and answers questions about it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.process import GatewayProcess, gateway_process
from tests.support.programs import program
from tests.support.prometheus import documented, prometheus
from tests.support.waiting import until

CONFIG = """
engines: {cpu: {kind: llamacpp}}
models:
  a: {engine: cpu, weights: "demo:qwen", aliases: [other]}
  b: {engine: cpu, weights: "demo:qwen"}
routes: [{name: both, use: a, shadow: {model: b}}]
"""
KEY = "k-prometheus"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    environ = {"WEIGHBRIDGE_API_KEY": KEY}
    folder = tmp_path_factory.mktemp("scraped")
    with gateway_process(folder, config=CONFIG, environ=environ) as started:
        yield started


def client(gateway: GatewayProcess) -> httpx.AsyncClient:
    return gateway.client(headers={"authorization": f"Bearer {KEY}"})


async def ask(http: httpx.AsyncClient, model: str, status: int = 200) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hola"}]}
    assert (await http.post("/v1/chat/completions", json=body)).status_code == status


async def query(http: httpx.AsyncClient, words: str) -> list[dict[str, Any]]:
    """Return what Prometheus answers; an empty list while it is not up."""
    try:
        answer = await http.get("/query", params={"query": words})
    except httpx.TransportError:
        return []
    if answer.status_code == 503:
        return []
    assert answer.json()["status"] == "success", answer.text
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return result


async def test_prometheus_tells_the_tokens_per_second_of_each_model(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    target = gateway.url.removeprefix("http://")
    with prometheus(tmp_path, target, KEY) as url:
        async with client(gateway) as http, httpx.AsyncClient(base_url=url) as asked:
            for words in (
                "sum by (model) (rate(weighbridge_completion_tokens_total[30s]))",
                "sum by (model) (weighbridge_tokens_per_second)",
            ):

                async def answered(words: str = words) -> bool:
                    await ask(http, "a")
                    await ask(http, "b")
                    told = {
                        row["metric"]["model"]: row["value"] for row in await query(asked, words)
                    }
                    return set(told) == {"a", "b"} and all(float(v) > 0 for _, v in told.values())

                await until(answered)
            for row in documented():
                await query(asked, row.example)


async def test_the_scrape_is_as_prometheus_likes_it(gateway: GatewayProcess) -> None:
    binary = program("promtool", "prometheus")
    async with client(gateway) as http:
        await ask(http, "a")
        scraped = (await http.get("/metrics")).content
    checked = subprocess.run(  # noqa: ASYNC221 - nothing else waits meanwhile
        [binary, "check", "metrics"], input=scraped, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


BY_MODEL = re.compile(r"_shadow_|_queue_refusals|^weighbridge_requests_waiting")
REPLICA = {"engine": "cpu", "replica": "0"}


async def test_names_that_nobody_configured_never_become_labels(gateway: GatewayProcess) -> None:
    async with client(gateway) as http:
        for made_up in ("gpt-9", 'x",model="y', "a\nb"):
            await ask(http, made_up, 404)
        await ask(http, "other")
        scraped = (await http.get("/metrics")).text
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            if sample.name.startswith("weighbridge_config_"):
                assert sample.labels in ({}, {"result": "in_force"}, {"result": "refused"})
                continue  # the file is that of all models
            own = ("le", "outcome", "reason", "result", "told")
            labels = {k: v for k, v in sample.labels.items() if k not in own}
            assert labels.pop("model") in ("a", "b")
            # Copies that are never begun, and who waits for a place, have no replica.
            assert labels == ({} if BY_MODEL.search(sample.name) else REPLICA)


async def test_a_scrape_of_real_workers_carries_every_documented_name(
    gateway: GatewayProcess,
) -> None:
    # Neither an engine's worker nor those of a gateway of several processes.
    expected = {row.name for row in documented() if "_worker" not in row.name}
    async with client(gateway) as http:
        await ask(http, "a")

        async def complete() -> bool:
            families = text_string_to_metric_families((await http.get("/metrics")).text)
            names = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
            assert names <= expected
            return names == expected  # a worker under load may be late with its own figures

        await until(complete)
