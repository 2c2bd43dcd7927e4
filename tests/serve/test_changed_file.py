"""`routing.yaml` changes under a gateway that serves: SIGHUP, its watch, and streams meanwhile."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.support.answers import DONE, FIRST, as_vllm, chunk
from tests.support.contract import CHAT, user
from tests.support.process import COMMAND, GatewayProcess, clean_environment, gateway_process
from tests.support.scripted import ScriptedEngine, events_play, running
from tests.support.streams import events_of, finishes, said
from tests.support.waiting import until

TWO = "engines: {cpu: {kind: llamacpp}}\nmodels:\n"
QWEN = "  m: {engine: cpu, weights: 'demo:qwen'}\n"
LLAMA = "  n: {engine: cpu, weights: 'demo:llama'}\n"
STORY = {
    "messages": user("Tell me a story."),
    "temperature": 0,
    "max_tokens": 400,
    "ignore_eos": True,
    "logprobs": True,
    "top_logprobs": 5,
    "stream": True,
    "stream_options": {"include_usage": True},
}
# Takes the terminal on its standard input as its own, as a shell's child has it, also where the
# tests themselves run under `nohup`.
IN_A_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def far(engine: ScriptedEngine, model: str) -> str:
    lab = f"{{kind: remote, url: '{engine.url}'}}"
    return f"engines: {{lab: {lab}}}\nmodels: {{{model}: {{engine: lab, upstream_model: toy}}}}\n"


async def says(gateway: GatewayProcess, words: str, times: int = 1) -> None:
    async def said_it() -> bool:
        return gateway.errors().count(words) >= times

    await until(said_it)


async def ready(http: httpx.AsyncClient, model: str) -> None:
    async def is_ready() -> bool:
        models = (await http.get("/ready")).json()["models"]
        return model in models and models[model]["state"] == "ready"

    await until(is_ready)


async def busy(http: httpx.AsyncClient, model: str) -> None:
    async def is_busy() -> bool:
        replicas = (await http.get("/ready")).json()["models"][model]["replicas"]
        return any(replica["in_flight"] for replica in replicas)

    await until(is_busy)


async def test_a_stream_that_runs_over_a_sighup_is_whole_though_its_model_is_gone(
    tmp_path: Path,
) -> None:
    gate, file = asyncio.Event(), tmp_path / "routing.yaml"
    async with running(ScriptedEngine()) as old, running(ScriptedEngine(answer=as_vllm)) as new:
        old.plays.append(events_play(FIRST, chunk("It "), gate, chunk(finish="stop"), DONE))
        with gateway_process(tmp_path, "--no-watch", config=far(old, "before")) as gateway:
            async with gateway.client() as http:
                await ready(http, "before")
                body = {"model": "before", "messages": user("Hi"), "stream": True}
                async with http.stream("POST", CHAT, json=body) as answer:
                    file.write_text(far(new, "after"))
                    os.kill(gateway.pid, signal.SIGHUP)
                    await says(gateway, "is in force: starts after/lab/")
                    await ready(http, "after")
                    other = await http.post(CHAT, json=body | {"model": "after", "stream": False})
                    assert other.json()["model"] == "after"
                    gone = await http.post(CHAT, json=body)
                    assert gone.status_code == 404
                    gate.set()
                    events = events_of((await answer.aread()).decode())
                assert said(events) == "It "
                assert finishes(events) == ["stop"]
            assert "Traceback" not in gateway.errors()


async def test_workers_that_stay_are_the_same_processes_and_one_that_goes_ends_its_streams(
    tmp_path: Path,
) -> None:
    file = tmp_path / "routing.yaml"
    with gateway_process(tmp_path, config=TWO + QWEN) as gateway:
        async with gateway.client() as http:
            await ready(http, "m")
            whole = await http.post(CHAT, json=STORY | {"model": "m"})
            before = gateway.workers()
            file.write_text(TWO + QWEN + LLAMA)
            await ready(http, "n")
            assert gateway.workers()["m"] == before["m"]

            tasks = [ask(http) for _ in range(8)]
            started = [asyncio.create_task(task) for task in tasks]
            await busy(http, "m")
            file.write_text(TWO + LLAMA)
            os.kill(gateway.pid, signal.SIGHUP)
            answers = await asyncio.gather(*started)
            assert {said(events_of(text)) for text in answers} == {said(events_of(whole.text))}
            await says(gateway, "m/cpu/0 ends after its running requests")
            await says(gateway, "m/cpu/0 has ended")
            assert list(gateway.workers()) == ["n"]
            assert (await http.post(CHAT, json=STORY | {"model": "m"})).status_code == 404
        assert "Traceback" not in gateway.errors()


async def ask(http: httpx.AsyncClient) -> str:
    answer = await http.post(CHAT, json=STORY | {"model": "m"})
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_a_worker_whose_line_changes_is_replaced_on_a_socket_of_its_own(
    tmp_path: Path,
) -> None:
    file = tmp_path / "routing.yaml"
    with gateway_process(tmp_path, config=TWO + QWEN) as gateway:
        async with gateway.client() as http:
            await ready(http, "m")
            before = gateway.workers()["m"]
            file.write_text(TWO + QWEN.replace("cpu,", "cpu, parallel: 3,"))
            await says(gateway, "is in force: replaces m/cpu/0")
            await says(gateway, "m/cpu/0 has ended")
            await ready(http, "m")
            assert gateway.workers()["m"] != before
            assert (await http.post(CHAT, json=STORY | {"model": "m"})).status_code == 200
        assert "Traceback" not in gateway.errors()


async def test_a_bad_file_is_told_in_the_log_and_ends_nothing(tmp_path: Path) -> None:
    file = tmp_path / "routing.yaml"
    async with running(ScriptedEngine(answer=as_vllm)) as engine:
        with gateway_process(tmp_path, config=far(engine, "m")) as gateway:
            file.write_text("models: [\n")
            os.kill(gateway.pid, signal.SIGHUP)
            await says(gateway, "routing.yaml:2:1: this is not YAML")
            await says(gateway, "the previous file stays in force")
            async with gateway.client() as http:
                await ready(http, "m")
                text = (await http.get("/metrics")).text
            assert "weighbridge_config_current 0.0" in text
            gateway.signal(signal.SIGTERM)
            assert gateway.wait() == 0


def test_a_gateway_whose_terminal_is_closed_ends(tmp_path: Path) -> None:
    (tmp_path / "routing.yaml").write_text(far(ScriptedEngine(port=9), "m"))
    terminal, its_end = os.openpty()
    options: dict[str, Any] = {"env": clean_environment(), "cwd": tmp_path}
    with subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, COMMAND, "serve", "--port", "0"],
        stdin=its_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        **options,
    ) as process:
        os.close(its_end)
        assert process.stdout is not None
        try:
            while not process.stdout.readline().startswith("Listening on"):
                assert process.poll() is None
            process.send_signal(signal.SIGHUP)  # asked to read its file: it lives
            os.close(terminal)
            assert process.wait(30) == 0
        finally:
            process.kill()
