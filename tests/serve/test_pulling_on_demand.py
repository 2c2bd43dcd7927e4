"""Weights that are not here are fetched when somebody asks: real hub, gateway and worker."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engines.demo import weights_path
from tests.support.hub import Fault, Hub, Repo, running_hub
from tests.support.process import GatewayProcess, children, gateway_process, living, run_command
from tests.support.serving import serving
from tests.support.waiting import until

TOY = "o/toy-GGUF"
LLAMA = "meta-llama/Llama-3.2-1B-Instruct-GGUF"
CHAT = "/v1/chat/completions"
CONFIG = """\
engines: {cpu: {kind: llamacpp, context: 512, parallel: 2, prefix_cache_mib: 0}}
residency: {heartbeat_after_s: 0.2}
models:
  toy: {engine: cpu, weights: "o/toy-GGUF:Q8_0"}
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    toy = weights_path("qwen").read_bytes()
    repos = {
        TOY: Repo({"toy-q8_0.gguf": toy}, {"license": "apache-2.0"}),
        LLAMA: Repo({"l-q8_0.gguf": toy}, {"license": "llama3.2"}),
    }
    with running_hub(repos) as hub:
        yield hub


def environ(hub: Hub, folder: Path, **more: str) -> dict[str, str]:
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "NO_PROXY": "*"}
    return own | {"WEIGHBRIDGE_CACHE": str(folder / "cache")} | more


def ask(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hola"}]} | more


async def row(http: httpx.AsyncClient, model: str = "toy") -> dict[str, Any]:
    told: dict[str, Any] = (await http.get(f"/v1/models/{model}")).json()
    return told


async def figure(http: httpx.AsyncClient, line: str) -> str:
    lines = (await http.get("/metrics")).text.splitlines()
    return next((one.rpartition(" ")[2] for one in lines if one.startswith(line)), "")


def pulls_of(gateway: GatewayProcess) -> list[int]:
    return [pid for pid, args in children(gateway.pid).items() if "engines.hub" in args]


async def test_the_first_request_fetches_the_weights_and_is_answered(
    hub: Hub, tmp_path: Path
) -> None:
    with gateway_process(tmp_path, config=CONFIG, environ=environ(hub, tmp_path)) as gateway:
        async with gateway.client() as http:
            assert "CANNOT START" not in gateway.banner()
            assert (await http.get("/ready")).status_code == 200
            assert (await row(http))["state"] == "absent"
            assert not hub.asked
            answer = await http.post(CHAT, json=ask("toy"))
            assert answer.status_code == 200, answer.text + gateway.errors()
            assert "Hola" in answer.json()["choices"][0]["message"]["content"]
            told = await row(http)
            assert (told["state"], "pull" in told) == ("ready", False)
            assert told["context"] == 512
            assert await figure(http, 'weighbridge_model_pulls_total{model="toy"}') == "1.0"
            fetched = len(hub.fetched)
            assert (await http.post(CHAT, json=ask("toy"))).status_code == 200
            assert len(hub.fetched) == fetched == 1


async def test_a_stream_is_told_how_far_its_weights_are(hub: Hub, tmp_path: Path) -> None:
    halts = threading.Event()
    hub.faults = [Fault(halts=halts)]
    with gateway_process(tmp_path, config=CONFIG, environ=environ(hub, tmp_path)) as gateway:
        async with (
            gateway.client() as http,
            http.stream("POST", CHAT, json=ask("toy", stream=True)) as answer,
        ):
            assert answer.status_code == 200
            pieces = answer.aiter_text()
            text = await anext(pieces)
            assert text.startswith(": pulling toy")

            async def half_is_here() -> bool:
                pull = (await row(http)).get("pull") or {}
                return bool(0 < pull.get("here_bytes", 0) < (pull.get("size_bytes") or 0))

            await until(half_is_here)
            told = await row(http)
            assert told["state"] == "pulling"
            assert "MiB here" in told["reason"]
            size = await figure(http, 'weighbridge_model_pull_size_bytes{model="toy"}')
            assert float(size) == told["pull"]["size_bytes"]
            halts.set()
            text += "".join([piece async for piece in pieces])
        assert text.endswith("data: [DONE]\n\n")


async def test_what_has_come_is_gone_on_with_and_the_pull_ends_with_its_gateway(
    hub: Hub, tmp_path: Path
) -> None:
    halts = threading.Event()
    hub.faults = [Fault(halts=halts)]
    folder = tmp_path / "hf" / "hub" / "models--o--toy-GGUF" / "blobs"
    with gateway_process(tmp_path, config=CONFIG, environ=environ(hub, tmp_path)) as gateway:
        async with gateway.client() as http:
            left = {**ask("toy"), "stream": True}
            async with http.stream("POST", CHAT, json=left):

                async def half_is_here() -> bool:
                    return any(one.stat().st_size > 0 for one in folder.glob("*.weighbridge"))

                await until(half_is_here)
        (pull,) = pulls_of(gateway)
        os.kill(gateway.pid, signal.SIGKILL)

        async def has_ended() -> bool:
            return not living([pull])

        await until(has_ended)
    halts.set()
    (part,) = folder.glob("*.weighbridge")
    begun = part.stat().st_size
    with gateway_process(tmp_path, environ=environ(hub, tmp_path)) as gateway:
        async with gateway.client() as http:
            answer = await http.post(CHAT, json=ask("toy"))
            assert answer.status_code == 200, answer.text + gateway.errors()
    assert hub.fetched[-1] == f"bytes={begun}-"


async def test_a_hub_that_fails_is_told_in_the_error_and_tried_again_later(
    hub: Hub, tmp_path: Path
) -> None:
    hub.down = True
    with gateway_process(tmp_path, config=CONFIG, environ=environ(hub, tmp_path)) as gateway:
        async with gateway.client() as http:
            answer = await http.post(CHAT, json=ask("toy"))
            assert answer.status_code == 503
            error = answer.json()["error"]
            assert error["code"] == "model_unavailable"
            assert "HTTP 503; try again later" in error["message"]
            assert 1 <= int(answer.headers["retry-after"]) <= 5
            assert (await row(http))["state"] == "failed"
            failures = 'weighbridge_model_pull_failures_total{model="toy"}'
            assert await figure(http, failures) == "1.0"
            again = await asyncio.gather(*(http.post(CHAT, json=ask("toy")) for _ in range(5)))
            assert {one.status_code for one in again} == {503}
            assert float(await figure(http, failures)) <= 2  # it rests: not each request tries
            hub.down = False

            async def answered() -> bool:
                return (await http.post(CHAT, json=ask("toy"))).status_code == 200

            await until(answered)


async def test_a_licence_that_is_not_open_is_never_agreed_to_silently(
    hub: Hub, tmp_path: Path
) -> None:
    config = CONFIG.replace("o/toy-GGUF", LLAMA)
    with gateway_process(tmp_path, config=config, environ=environ(hub, tmp_path)) as gateway:
        async with gateway.client() as http:
            refused = await http.post(CHAT, json=ask("toy"))
            assert refused.status_code == 503
            message = refused.json()["error"]["message"]
            assert "not open source" in message
            assert f"`weighbridge pull {LLAMA}:Q8_0`" in message
            assert not hub.fetched
            pulled = run_command(
                tmp_path, "pull", "toy", "--accept-licence", environ=environ(hub, tmp_path)
            )
            assert pulled.returncode == 0, pulled.stderr

            async def answered() -> bool:
                return (await http.post(CHAT, json=ask("toy"))).status_code == 200

            await until(answered)


async def test_offline_nothing_is_asked_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    offline = environ(hub, tmp_path, HF_HUB_OFFLINE="1")
    with gateway_process(tmp_path, config=CONFIG, environ=offline) as gateway:
        async with gateway.client() as http:
            answer = await http.post(CHAT, json=ask("toy"))
            assert answer.status_code == 503
            assert "HF_HUB_OFFLINE" in answer.json()["error"]["message"]
    assert not hub.asked


async def test_nobody_waits_for_a_pull_whom_another_model_serves(hub: Hub, tmp_path: Path) -> None:
    config = (
        CONFIG
        + '  demo: {engine: cpu, weights: "demo:llama"}\n'
        + "routes: [{name: first, use: [toy, demo]}]\n"
    )
    halts = threading.Event()
    hub.faults = [Fault(halts=halts)]
    with gateway_process(tmp_path, config=config, environ=environ(hub, tmp_path)) as gateway:
        async with gateway.client() as http:

            async def demo_is_ready() -> bool:
                return bool((await row(http, "demo"))["state"] == "ready")

            await until(demo_is_ready)
            answer = await http.post(CHAT, json=ask("auto"))
            assert answer.headers["x-weighbridge-model"] == "demo"
            assert (await row(http))["state"] == "pulling"
            halts.set()

            async def toy_serves() -> bool:
                asked = await http.post(CHAT, json=ask("auto"))
                return asked.headers["x-weighbridge-model"] == "toy"

            await until(toy_serves)


async def test_what_is_to_be_there_from_the_start_is_fetched_at_the_start(
    hub: Hub, tmp_path: Path
) -> None:
    config = CONFIG.replace('Q8_0"', 'Q8_0", load: start')
    with gateway_process(tmp_path, config=config, environ=environ(hub, tmp_path)) as gateway:
        async with gateway.client() as http:

            async def is_ready() -> bool:
                return bool((await row(http))["state"] == "ready")

            await until(is_ready)


async def test_where_nothing_is_to_be_pulled_the_command_is_named(hub: Hub, tmp_path: Path) -> None:
    config = CONFIG.replace("{heartbeat_after_s: 0.2}", "{pull: never}")
    with gateway_process(tmp_path, config=config, environ=environ(hub, tmp_path)) as gateway:
        assert "CANNOT START" in gateway.banner()
        async with gateway.client() as http:
            answer = await http.post(CHAT, json=ask("toy"))
            assert answer.status_code == 503
            assert f"weighbridge pull {TOY}:Q8_0" in answer.json()["error"]["message"]
    assert not hub.asked


async def test_a_pull_whose_process_cannot_be_started_fails_alone(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ(hub, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("gateway.fleet.pulling.Pulls._argv", lambda *_: ["/nowhere/python"])
    async with serving(CONFIG) as served:
        refused = await served.http.post(CHAT, json=ask("toy"))
        assert refused.status_code == 503
        assert "No such file" in refused.json()["error"]["message"]
