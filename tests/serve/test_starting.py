"""`weighbridge serve` from the first line to the first answer, and all the ways not to start."""

import asyncio
import errno
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from engines.weights import resolve
from gateway.cli import main
from tests.support.process import (
    COMMAND,
    GatewayProcess,
    children,
    clean_environment,
    gateway_process,
    run_command,
    run_serve,
)
from tests.support.waiting import until

REMOTE = "engines: {lab: {kind: remote, url: 'http://127.0.0.1:9/v1'}}\nmodels: {m: {engine: lab}}"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """The demo, started by somebody who has nothing."""
    with gateway_process(tmp_path_factory.mktemp("empty")) as gateway:
        yield gateway


async def whole_banner(gateway: GatewayProcess) -> str:
    async def complete() -> bool:
        return "my-model" in gateway.banner()

    await until(complete)
    return gateway.banner()


async def all_ready(gateway: GatewayProcess) -> None:
    async with gateway.client() as http:

        async def are_ready() -> bool:
            models = (await http.get("/ready")).json()["models"].values()
            return {model["state"] for model in models} == {"ready"}

        await until(are_ready)


def test_without_a_place_for_sockets_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    (tmp_path / "r.yaml").write_text(REMOTE, encoding="utf-8")
    told = CliRunner().invoke(main, ["serve", str(tmp_path / "r.yaml"), "--port", "0"])
    assert told.exit_code == 1
    assert "No folder can be made for the engines' sockets: neither " in told.output


def ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def curl_in(banner: str) -> str:
    return banner[banner.index("curl") :].split("\n\n", maxsplit=1)[0]


async def test_the_banner_says_what_is_served_and_that_these_are_toys(
    demo: GatewayProcess,
) -> None:
    banner = await whole_banner(demo)
    assert "the packaged demo: no --config, no WEIGHBRIDGE_CONFIG, no ./routing.yaml" in banner
    for model in ("demo-qwen", "demo-coder", "demo-llama"):
        assert re.search(rf"^  {model} +demo:\w+ on cpu", banner, re.MULTILINE)
    assert f"OpenAI base URL: {demo.url}/v1" in banner
    assert "toys" in banner
    assert "no Meta or Alibaba weights" in banner


async def test_the_curl_of_the_banner_works_as_it_stands(demo: GatewayProcess) -> None:
    banner = await whole_banner(demo)
    # Until all are up, whoever is up first answers.
    await all_ready(demo)
    curl = await asyncio.create_subprocess_shell(curl_in(banner), stdout=subprocess.PIPE)
    printed, _ = await curl.communicate()
    answer = msgspec.json.decode(printed)
    assert answer["model"] == "demo-qwen"
    assert "¡Hola!" in answer["choices"][0]["message"]["content"]


async def test_whoever_follows_the_banner_has_a_real_model(
    demo: GatewayProcess, tmp_path: Path
) -> None:
    banner = await whole_banner(demo)
    command = re.search(r"run `weighbridge (\w+)`", banner)
    line = re.search(r"^ +(my-model: .*weights: \./(\S+\.gguf).*)$", banner, re.MULTILINE)
    assert command is not None
    assert line is not None
    assert run_command(tmp_path, command[1]).returncode == 0
    file = tmp_path / "routing.yaml"
    text = file.read_text(encoding="utf-8")
    weights = tmp_path / line[2]
    weights.parent.mkdir(parents=True)
    shutil.copy(resolve("demo:qwen", tmp_path), weights)
    config = re.sub(r"^models:.*\n", rf"\g<0>  {line[1]}\n", text, count=1, flags=re.MULTILINE)
    ask = {"model": "my-model", "messages": [{"role": "user", "content": "Hola"}]}
    with gateway_process(tmp_path, config=config) as gateway:
        assert "Weighbridge serves ./routing.yaml" in gateway.banner()
        async with gateway.client() as http:
            answer = await http.post("/v1/chat/completions", json=ask)
            assert answer.status_code == 200, answer.text + gateway.errors()
            assert answer.json()["model"] == "my-model"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--config", "nowhere.yaml"), ("nowhere.yaml:1:1", "command line")),
        (("--port", "65536"), ("65536",)),
        (("--prot", "8000"), ("--prot",)),
        (("--host", "0.0.0.0"), ("WEIGHBRIDGE_API_KEY", "--no-auth")),
        (("--host", "::"), ("WEIGHBRIDGE_API_KEY", "--no-auth")),
        (("--host", "192.0.2.1"), ("WEIGHBRIDGE_API_KEY", "--no-auth")),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_remedy(
    tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    (tmp_path / "routing.yaml").write_text(REMOTE, encoding="utf-8")
    ended = run_serve(tmp_path, *options)
    assert ended.returncode == 2
    assert all(word in ended.stderr for word in words)
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_wrong_key_in_the_file_is_shown_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "routing.yaml").write_text(REMOTE + "\nrouts: []\n", encoding="utf-8")
    ended = run_serve(tmp_path)
    assert ended.returncode == 2
    assert re.search(r"routing\.yaml:3:1: .*routs", ended.stderr)
    assert "routes" in ended.stderr


def test_a_busy_port_is_told_before_any_worker_starts(tmp_path: Path) -> None:
    (tmp_path / "routing.yaml").write_text(
        "engines: {cpu: {kind: llamacpp}}\nmodels: {m: {engine: cpu, weights: 'demo:qwen'}}",
        encoding="utf-8",
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_serve(tmp_path, "--port", port)
    assert ended.returncode == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "m/cpu/0" not in ended.stderr


def test_an_address_of_somebody_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "routing.yaml").write_text(REMOTE, encoding="utf-8")
    ended = run_serve(tmp_path, "--host", "192.0.2.1", "--no-auth")
    assert ended.returncode == 1
    assert "192.0.2.1" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("host", "url", "key"),
    [
        ("0.0.0.0", "http://127.0.0.1:", None),
        ("0.0.0.0", "http://127.0.0.1:", "k-1"),
        ("127.0.0.1", "http://127.0.0.1:", None),
        ("localhost", "http://localhost:", None),
        ("::1", "http://[::1]:", None),
    ],
)
async def test_the_url_of_the_banner_answers_wherever_it_is_bound(
    tmp_path: Path, host: str, url: str, key: str | None
) -> None:
    if ":" in host and not ipv6():
        pytest.skip("this machine has no IPv6")
    options = () if host != "0.0.0.0" or key else ("--no-auth",)
    environ = {"WEIGHBRIDGE_API_KEY": key} if key else {}
    with gateway_process(
        tmp_path, "--host", host, *options, config=REMOTE, environ=environ
    ) as gateway:
        assert gateway.url.startswith(url)
        assert ("Bearer $WEIGHBRIDGE_API_KEY" in gateway.banner()) is (key is not None)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        async with gateway.client(headers=headers) as http:
            assert (await http.get("/v1/models")).status_code == 200
        assert not children(gateway.pid)


async def test_beyond_loopback_without_a_key_the_banner_warns_and_rebound_names_are_refused(
    tmp_path: Path,
) -> None:
    config = REMOTE + "\ngateway: {allowed_hosts: [gpu-box]}\n"
    with gateway_process(tmp_path, "--host", "0.0.0.0", "--no-auth", config=config) as gateway:
        assert "anybody who reaches this address may use it" in gateway.banner()
        async with gateway.client() as http:
            for host, status in (("evil.example", 403), ("gpu-box", 200), ("192.0.2.1", 200)):
                answer = await http.get("/v1/models", headers={"host": host})
                assert answer.status_code == status
                assert status == 200 or "gateway.allowed_hosts" in answer.json()["error"]["message"]


async def test_a_model_that_can_never_start_is_told_in_log_and_banner(tmp_path: Path) -> None:
    config = (
        "engines: {cpu: {kind: llamacpp}, lab: {kind: remote, url: 'http://127.0.0.1:9/v1'}}\n"
        "models:\n  a: {engine: cpu, weights: ./gone.gguf, replicas: 2}\n"
        "  b: {engine: cpu, weights: ./gone.gguf}\n  c: {engine: lab}\n"
    )
    with gateway_process(tmp_path, config=config) as gateway:
        lines = [line for line in gateway.errors().splitlines() if " ERROR " in line]
        assert len(lines) == 1
        assert "a, b cannot start: there is no file './gone.gguf'" in lines[0]
        marked = [line.split()[0] for line in gateway.banner().splitlines() if "CANNOT" in line]
        assert marked == ["a", "b"]
        assert "NO MODEL" not in gateway.banner()


async def test_without_the_extra_serve_says_what_to_install_and_serves(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    hiding = "import sys\nsys.modules['llama_cpp'] = None\n"
    (hidden / "sitecustomize.py").write_text(hiding, encoding="utf-8")
    with gateway_process(tmp_path, environ={"PYTHONPATH": str(hidden)}) as gateway:
        told = "demo-qwen, demo-coder, demo-llama cannot start: kind: llamacpp needs an extra; "
        remedy = "run: pip install 'weighbridge[llamacpp]'"
        assert f"ERROR weighbridge: {told}{remedy}" in gateway.errors()
        assert "NO MODEL CAN START" in gateway.banner()
        assert told + remedy in gateway.banner()
        async with gateway.client() as http:
            state = (await http.get("/ready")).json()
        assert state["status"] == "not_ready"
        assert remedy in state["models"]["demo-qwen"]["reason"]


async def test_a_reader_of_the_banner_may_leave(tmp_path: Path) -> None:
    """As in `weighbridge serve | head`."""
    (tmp_path / "routing.yaml").write_text(REMOTE, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    reader_gone = os.pipe()
    gateway = await asyncio.create_subprocess_exec(
        *(COMMAND, "serve", "--port", str(port)),
        cwd=tmp_path,
        env=clean_environment(),
        stdout=reader_gone[1],
        stderr=subprocess.PIPE,
    )
    for end in reader_gone:
        os.close(end)
    try:

        async def answers() -> bool:
            async with httpx.AsyncClient() as http:
                try:
                    return (await http.get(f"http://127.0.0.1:{port}/health")).status_code == 200
                except httpx.TransportError:
                    return False

        await until(answers)
    finally:
        gateway.terminate()
        _, log = await gateway.communicate()
    assert gateway.returncode == 0
    assert b"Traceback" not in log
