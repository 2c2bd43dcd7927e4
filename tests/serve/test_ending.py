"""How a gateway ends: signals once and twice, idle and in the middle of a stream, and kill -9."""

import asyncio
import json
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.answers import DONE, FIRST, chat_answer, chunk
from tests.support.process import GatewayProcess, children, gateway_process, living
from tests.support.scripted import ScriptedEngine, events_play, json_play, running
from tests.support.streams import data_of
from tests.support.waiting import until

# Far less than the 600 s that a hanging worker would be given.
SOON_S = 20
BOTH = (signal.SIGINT, signal.SIGTERM)
WORKER = "engines: {cpu: {kind: llamacpp}}\nmodels: {m: {engine: cpu, weights: 'demo:qwen'}}\n"


def ask(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": True} | more


def with_remote(engine: ScriptedEngine, drain_s: int) -> str:
    return f"""
gateway: {{drain_timeout_s: {drain_s}}}
engines:
  cpu: {{kind: llamacpp, drain_timeout_s: 600}}
  lab: {{kind: remote, url: "{engine.url}", health_interval_s: 60}}
models:
  m: {{engine: cpu, weights: "demo:qwen"}}
  far: {{engine: lab, upstream_model: toy}}
"""


async def ready(gateway: GatewayProcess, model: str) -> None:
    async def is_ready() -> bool:
        async with gateway.client() as http:
            return bool((await http.get("/ready")).json()["models"][model]["state"] == "ready")

    await until(is_ready)


async def says(gateway: GatewayProcess, words: str) -> None:
    async def said() -> bool:
        return words in gateway.errors()

    await until(said)


def folders_of(pid: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"weighbridge-{pid}-*"))


@asynccontextmanager
async def streaming(gateway: GatewayProcess, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
    """Give a stream that has begun."""
    async with (
        gateway.client() as http,
        http.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        assert answer.status_code == 200
        yield answer


@pytest.mark.parametrize("number", BOTH)
async def test_an_idle_gateway_ends_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    with gateway_process(tmp_path, config=WORKER) as gateway:
        await ready(gateway, "m")
        workers = list(children(gateway.pid))
        assert len(workers) == 1
        assert folders_of(gateway.pid)
        gateway.signal(number)
        assert gateway.wait() == 0
        assert not living(workers)
        assert not folders_of(gateway.pid)
        assert "Traceback" not in gateway.errors()


async def test_a_gateway_whose_worker_still_loads_ends_cleanly(tmp_path: Path) -> None:
    with gateway_process(tmp_path, config=WORKER) as gateway:
        workers = list(children(gateway.pid))
        gateway.signal(signal.SIGINT)
        assert gateway.wait() == 0
        assert not living(workers)
        assert "Traceback" not in gateway.errors()


@pytest.mark.parametrize("number", BOTH)
async def test_a_stream_that_ends_within_the_drain_time_is_whole(
    number: signal.Signals, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    async with running(ScriptedEngine()) as engine:
        engine.plays.append(events_play(FIRST, chunk("It "), gate, chunk(finish="stop"), DONE))
        with gateway_process(tmp_path, config=with_remote(engine, 30)) as gateway:
            async with streaming(gateway, ask("far")) as answer:
                gateway.signal(number)
                await says(gateway, "Waiting for 1 running request, at most 30 s")
                gate.set()
                text = (await answer.aread()).decode()
            assert text.endswith("data: [DONE]\n\n")
            assert gateway.wait() == 0
            assert "Traceback" not in gateway.errors()


async def test_a_stream_beyond_the_drain_time_ends_with_an_error_event(tmp_path: Path) -> None:
    async with running(ScriptedEngine()) as engine:
        engine.plays.append(events_play(FIRST, chunk("It "), asyncio.Event()))
        with gateway_process(tmp_path, config=with_remote(engine, 1)) as gateway:
            async with streaming(gateway, ask("far")) as answer:
                gateway.signal(signal.SIGINT)
                text = (await answer.aread()).decode()
            last = data_of(text)[-1]
            assert b'"gateway_stopping"' in last
            assert b"[DONE]" not in text.encode()
            await asyncio.wait_for(engine.hung_up.wait(), SOON_S)
            assert gateway.wait() == 0
            assert "Traceback" not in gateway.errors()


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
async def test_a_client_that_does_not_read_leaves_no_traceback_when_the_drain_time_is_over(
    options: list[str], tmp_path: Path
) -> None:
    # Far more than systems keep for who does not read.
    much = [FIRST, *[chunk("x" * 60_000)] * 2_000, DONE]
    async with running(ScriptedEngine()) as engine:
        engine.plays.append(events_play(*much))
        config = with_remote(engine, 1)
        with gateway_process(tmp_path, *options, config=config) as gateway:
            url = httpx.URL(gateway.url)
            body = json.dumps(ask("far")).encode()
            head = f"host: localhost\r\ncontent-length: {len(body)}\r\n"
            head += "content-type: application/json\r\n\r\n"
            with socket.socket() as line:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                line.connect((url.host, url.port))
                line.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}".encode() + body)

                async def begun() -> bool:
                    return bool(engine.heard)

                await until(begun)
                gateway.signal(signal.SIGTERM)
                async with asyncio.timeout(SOON_S):
                    assert await asyncio.to_thread(gateway.wait) == 0
            assert "Traceback" not in gateway.errors()


async def test_who_has_asked_nothing_is_let_go_at_once_and_who_waits_for_a_turn_is_answered(
    tmp_path: Path,
) -> None:
    gate = asyncio.Event()
    async with running(ScriptedEngine()) as engine:
        engine.plays.append(events_play(FIRST, chunk("It "), gate, chunk(finish="stop"), DONE))
        engine.plays.append(json_play(chat_answer()))
        config = with_remote(engine, 30).replace("toy}", "toy, max_concurrent: 1}")
        with gateway_process(tmp_path, config=config) as gateway:
            url = httpx.URL(gateway.url)
            idle, idle_writer = await asyncio.open_connection(url.host, url.port)
            idle_writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await idle.readuntil(b'"ok"}')
            half, half_writer = await asyncio.open_connection(url.host, url.port)
            half_writer.write(b"GET /health HTTP/1.1\r\nhost: local")
            async with streaming(gateway, ask("far")) as answer, gateway.client() as http:
                asked = ask("far", stream=False)
                waiting = asyncio.create_task(http.post("/v1/chat/completions", json=asked))

                async def waits() -> bool:
                    text = (await http.get("/metrics")).text
                    return 'weighbridge_requests_waiting{model="far"} 1.0' in text

                await until(waits)
                gateway.signal(signal.SIGTERM)
                async with asyncio.timeout(SOON_S):
                    assert await idle.read() == b""
                    assert await half.read() == b""
                gate.set()
                assert (await answer.aread()).endswith(b"data: [DONE]\n\n")
                assert (await waiting).status_code == 200
            assert gateway.wait() == 0
            assert "Traceback" not in gateway.errors()
            idle_writer.close()
            half_writer.close()


async def test_a_request_that_waits_beyond_the_drain_time_is_told_to_go_elsewhere(
    tmp_path: Path,
) -> None:
    async with running(ScriptedEngine()) as engine:
        engine.plays.append(events_play(asyncio.Event()))
        with gateway_process(tmp_path, config=with_remote(engine, 1)) as gateway:
            async with gateway.client() as http:
                asking = asyncio.create_task(http.post("/v1/chat/completions", json=ask("far")))

                async def arrived() -> bool:
                    return bool(engine.heard)

                await until(arrived)
                gateway.signal(signal.SIGTERM)
                answer = await asking
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "gateway_stopping"
            assert answer.headers["x-should-retry"] == "true"
            assert answer.headers["x-request-id"]
            assert gateway.wait() == 0
            assert "Traceback" not in gateway.errors()


@pytest.mark.parametrize("number", BOTH)
async def test_a_second_signal_ends_at_once_even_with_a_worker_that_hangs(
    number: signal.Signals, tmp_path: Path
) -> None:
    async with running(ScriptedEngine()) as engine:
        engine.plays.append(events_play(FIRST, chunk("It "), asyncio.Event()))
        with gateway_process(tmp_path, config=with_remote(engine, 600)) as gateway:
            await ready(gateway, "m")
            workers = list(children(gateway.pid))
            os.kill(workers[0], signal.SIGSTOP)
            async with streaming(gateway, ask("far")) as answer:
                gateway.signal(number)
                await says(gateway, "Ctrl-C again ends at once")
                gateway.signal(number)
                async with asyncio.timeout(SOON_S):
                    text = (await answer.aread()).decode()
            assert b'"gateway_stopping"' in data_of(text)[-1]
            async with asyncio.timeout(SOON_S):
                assert await asyncio.to_thread(gateway.wait) == 0
            assert not living(workers)
            assert "Traceback" not in gateway.errors()


async def test_a_signal_while_the_workers_drain_ends_at_once(tmp_path: Path) -> None:
    config = WORKER.replace("llamacpp}", "llamacpp, drain_timeout_s: 600}")
    with gateway_process(tmp_path, config=config) as gateway:
        await ready(gateway, "m")
        workers = list(children(gateway.pid))
        os.kill(workers[0], signal.SIGSTOP)
        gateway.signal(signal.SIGTERM)
        async with gateway.client() as http:

            async def refused() -> bool:
                try:
                    await http.get("/health")
                except httpx.HTTPError:
                    return True
                return False

            await until(refused)
        gateway.signal(signal.SIGTERM)
        async with asyncio.timeout(SOON_S):
            assert await asyncio.to_thread(gateway.wait) == 0
        assert not living(workers)
        assert "Traceback" not in gateway.errors()


async def test_a_stream_of_a_real_worker_ends_whole_when_the_gateway_is_told_to_end(
    tmp_path: Path,
) -> None:
    with gateway_process(tmp_path, config=WORKER) as gateway:
        workers = list(children(gateway.pid))
        body = ask("m", ignore_eos=True, max_tokens=300)
        async with streaming(gateway, body) as answer:
            gateway.signal(signal.SIGINT)
            text = (await answer.aread()).decode()
        assert text.endswith("data: [DONE]\n\n")
        assert '"finish_reason":"length"' in text
        assert gateway.wait() == 0
        assert not living(workers)


async def test_no_worker_outlives_a_gateway_that_was_killed(tmp_path: Path) -> None:
    config = WORKER.replace("{m:", "{n: {engine: cpu, weights: 'demo:qwen', replicas: 2}, m:")
    with gateway_process(tmp_path, config=config) as gateway:
        await ready(gateway, "m")
        workers = list(children(gateway.pid))
        assert len(workers) == 3
        async with streaming(gateway, ask("m", ignore_eos=True, max_tokens=1_500)):
            gateway.process.kill()
            assert gateway.wait() == -signal.SIGKILL

        async def gone() -> bool:
            return not living(workers)

        await until(gone)
        left = folders_of(gateway.pid)
    with gateway_process(tmp_path, config=WORKER):
        assert not any(folder.exists() for folder in left)


async def test_a_client_that_does_not_read_does_not_hold_the_end(tmp_path: Path) -> None:
    flood = [FIRST, *(chunk("x" * 60_000) for _ in range(400))]
    async with running(ScriptedEngine()) as engine:
        engine.plays.append(events_play(*flood, asyncio.Event()))
        with gateway_process(tmp_path, config=with_remote(engine, 1)) as gateway:
            async with streaming(gateway, ask("far")):
                gateway.signal(signal.SIGTERM)
                async with asyncio.timeout(SOON_S):
                    assert await asyncio.to_thread(gateway.wait) == 0
            assert "Traceback" not in gateway.errors()
