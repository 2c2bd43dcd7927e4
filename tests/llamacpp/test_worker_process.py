"""The worker as a process: how it starts, refuses to start, and ends."""

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from engines.demo import weights_path
from tests.conftest import WorkerOf
from tests.support.contract import CHAT, user
from tests.support.streams import data_of, events_of, finishes
from tests.support.waiting import until
from tests.support.worker import END_S, WorkerProcess, command, figures, working

QWEN = weights_path("qwen")
ENDLESS = {"messages": user("Hello"), "stream": True, "ignore_eos": True, "n": 64}


def refused(*options: str) -> tuple[int, str]:
    """Return the exit code and stderr of a worker that does not start."""
    ended = subprocess.run(
        command(*options), capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stderr


HIDING = """
import runpy, sys
sys.modules[sys.argv.pop(1)] = None
runpy.run_module("engines.llamacpp", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["llama_cpp", "jinja2", "numpy"])
def test_without_the_extra_one_line_says_what_to_install(module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", "-c", HIDING, module, "--weights", str(QWEN)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "kind: llamacpp needs an extra; run: pip install 'weighbridge[llamacpp]'"
    ]


async def refuses(worker: WorkerProcess) -> bool:
    """Say whether a new client is turned away."""
    async with worker.client() as http:
        try:
            await http.get("/health")
        except httpx.TransportError:
            return True
        return False


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


BROKEN = {
    "empty.gguf": b"",
    "text.gguf": b"this is no model\n" * 100,
    "magic.gguf": b"GGUF",
    "old.gguf": b"GGUF\x01\0\0\0" + bytes(64),
    "head.gguf": QWEN.read_bytes()[:20_000],
    "body.gguf": QWEN.read_bytes()[:1_000_000],
    "end.gguf": QWEN.read_bytes()[:-10],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gets_one_clear_line(name: str, tmp_path: Path) -> None:
    code, told = refused("--weights", str(write(tmp_path / name, BROKEN[name])), "--port", "0")
    assert code == 2
    assert told.count("\n") == 1, told
    assert name in told
    assert str(tmp_path) not in told


@pytest.mark.parametrize("name", ["none.gguf", "", "demo:qwem", "demo:", "org/name"])
def test_what_names_no_file_gets_one_clear_line(name: str) -> None:
    code, told = refused("--weights", name, "--port", "0")
    assert code == 2
    assert told.count("\n") == 1, told


def test_a_folder_is_no_weights(tmp_path: Path) -> None:
    code, told = refused("--weights", str(tmp_path), "--port", "0")
    assert code == 2
    assert told.count("\n") == 1
    assert "folder" in told


@pytest.mark.parametrize("options", [("--context", "0"), ("--parallel", "257"), ("--contex", "9")])
def test_a_wrong_argument_is_refused_without_a_traceback(options: tuple[str, ...]) -> None:
    code, told = refused("--weights", "demo:qwen", *options)
    assert code == 2
    assert "Traceback" not in told
    assert options[0] in told


def test_a_port_in_use_gets_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, told = refused("--weights", "demo:qwen", "--port", str(port))
    assert code == 1
    assert told.count("\n") == 1, told
    assert str(port) in told


def test_it_serves_a_file_by_path_on_a_socket_and_leaves_none_behind(tmp_path: Path) -> None:
    weights = shutil.copy(QWEN, tmp_path / "my model.gguf")
    path = tmp_path / "s"
    with working(str(weights), ["--socket", str(path), "--name", "mine"]) as worker:
        assert worker.url.endswith(str(path))
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as http:
            listed = http.get("http://worker/v1/models").json()["data"]
        assert [model["id"] for model in listed] == ["mine"]
        worker.process.terminate()
        assert worker.process.wait(END_S) == 0
        assert not path.exists()


def test_an_answer_does_not_wait_for_the_clients_acknowledgement(worker_of: WorkerOf) -> None:
    with httpx.Client(base_url=worker_of().url) as http:
        took_s = []
        for _ in range(20):
            began_s = time.perf_counter()
            http.get("/health")
            took_s.append(time.perf_counter() - began_s)
    assert min(took_s) < 0.035  # each took 44 ms when Nagle held the body back


async def test_sigterm_lets_a_running_stream_end_and_refuses_new_requests() -> None:
    with working(options=["--drain-timeout-s", "60"]) as worker:
        async with worker.client() as http, worker.client() as other:
            assert (await other.get("/health")).json() == {"status": "ready"}
            ask = {**ENDLESS, "n": 2, "max_tokens": 400}
            async with http.stream("POST", CHAT, json=ask) as answer:
                pieces = answer.aiter_text()
                heard = await anext(pieces)
                worker.process.terminate()
                heard += "".join([piece async for piece in pieces])
            events = events_of(heard)
            assert [finishes(events, index) for index in (0, 1)] == [["length"], ["length"]]
            with pytest.raises(httpx.TransportError):
                await other.get("/health")
        assert worker.process.wait(END_S) == 0
        assert worker.stderr() == ""


@pytest.mark.parametrize(("drain_s", "signals"), [("1", 1), ("600", 2)])
async def test_a_stream_is_cut_when_the_drain_time_is_over_or_sigterm_comes_again(
    drain_s: str, signals: int
) -> None:
    with working(options=["--drain-timeout-s", drain_s]) as worker:
        async with worker.client() as http:
            async with http.stream("POST", CHAT, json=ENDLESS) as answer:
                pieces = answer.aiter_text()
                await anext(pieces)
                worker.process.terminate()
                await until(lambda: refuses(worker))  # two signals at once may be one
                if signals == 2:
                    worker.process.terminate()
                heard = "".join([piece async for piece in pieces])
            assert b"[DONE]" not in data_of(heard)
            if signals == 1:
                assert msgspec.json.decode(data_of(heard)[-1])["error"]["type"] == "server_error"
        assert worker.process.wait(END_S) == 0
        assert "Traceback" not in worker.stderr()


@pytest.mark.parametrize(("drain_s", "signals"), [("0.1", 1), ("600", 2)])
async def test_who_does_not_read_is_cut_off_without_a_word_when_the_worker_ends(
    drain_s: str, signals: int
) -> None:
    # Far more than a system keeps for who does not read.
    body = json.dumps(ENDLESS | {"logprobs": True, "top_logprobs": 20}).encode()
    head = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with working(options=["--drain-timeout-s", drain_s]) as worker, socket.socket() as line:
        host, port = worker.url.removeprefix("http://").split(":")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        line.connect((host, int(port)))
        line.sendall(f"POST {CHAT} HTTP/1.1\r\n{head}\r\n\r\n".encode() + body)
        async with worker.client() as other:

            async def has_said_much() -> bool:
                return (await figures(other))["completion_tokens"] > 5_000

            await until(has_said_much)
        worker.process.terminate()
        await until(lambda: refuses(worker))  # two signals at once may be one
        if signals == 2:
            worker.process.terminate()
        assert worker.process.wait(END_S) == 0
        assert worker.stderr() == ""


@pytest.mark.parametrize("busy", [False, True])
async def test_it_ends_with_its_standard_input(busy: bool) -> None:
    options = ["--exit-with-stdin", "--drain-timeout-s", "1"]
    with working(options=options, stdin=subprocess.PIPE) as worker:
        async with worker.client() as http:
            assert (await figures(http))["requests_running"] == 0
            assert worker.process.stdin is not None
            if busy:
                async with http.stream("POST", CHAT, json=ENDLESS) as answer:
                    await anext(answer.aiter_text())
                    worker.process.stdin.close()
                    assert worker.process.wait(END_S) == 0
            else:
                worker.process.stdin.close()
                assert worker.process.wait(END_S) == 0
