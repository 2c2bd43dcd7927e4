"""A gateway where much is not as usual: names, locale, umask, proxies, limits, folders."""

import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from engines.weights import resolve
from tests.support.process import COMMAND, clean_environment, gateway_process, run_command
from tests.support.waiting import until

CONFIG = """
engines: {cpu: {kind: llamacpp, prefix_cache_dir: "./önbellek"}}
models: {m: {engine: cpu, weights: "./modèle çift.gguf", aliases: ["İstanbul"]}}
routes: [{name: "kural ş", use: m}]
"""
REMOTE = "engines: {lab: {kind: remote, url: 'http://127.0.0.1:9/v1'}}\nmodels: {m: {engine: lab}}"
NOBODY = "http://127.0.0.1:9"
ODD = {
    "LANG": "tr_TR",
    "LC_ALL": "C",
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), NOBODY),
}


@contextmanager
def few_files(soft: int) -> Iterator[None]:
    """Let children begin with so many open files, which they may raise."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def kept_in(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


def limits_of(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text(encoding="ascii")


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has /proc")
async def test_names_locale_proxies_and_few_files_keep_nobody_from_being_served(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "Ö ş dir"
    folder.mkdir()
    shutil.copyfile(resolve("demo:qwen", tmp_path), folder / "modèle çift.gguf")
    with few_files(1_024):
        with gateway_process(folder, config=CONFIG, environ=ODD) as gateway:
            async with gateway.client(trust_env=False) as http:
                body = {"model": "İstanbul", "messages": [{"role": "user", "content": "Merhaba"}]}
                answer = await http.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200, answer.text
                auto = await http.post("/v1/chat/completions", json=body | {"model": "auto"})
                assert auto.headers["x-weighbridge-rule"] == "kural %C5%9F"
            files = limits_of(gateway.pid)
            listed = run_command(folder, "models", "--url", gateway.url, environ=ODD)
            assert listed.returncode == 0, listed.stderr
        soft, hard = next(line for line in files.splitlines() if "open files" in line).split()[3:5]
        assert int(soft) == min(8_448, int(hard))  # what 4,096 connections want
    assert kept_in(folder / "önbellek")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def muted(folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Serve with both outputs on a disk that is full, until the block ends."""
    (folder / "routing.yaml").write_text(REMOTE, encoding="utf-8")
    with Path("/dev/full").open("wb") as full:
        command, environ = [COMMAND, "serve", "--port", str(port)], clean_environment()
        with subprocess.Popen(
            command, cwd=folder, env=environ, stdout=full, stderr=full
        ) as process:
            try:
                yield process
            finally:
                process.terminate()


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has /dev/full")
async def test_what_a_full_disk_takes_of_its_words_ends_no_gateway(tmp_path: Path) -> None:
    port = free_port()
    with muted(tmp_path, port) as process:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

            async def has_begun() -> bool:
                try:
                    return (await http.get("/health")).status_code == 200
                except httpx.TransportError:
                    return process.poll() is not None

            await until(has_begun)
            assert process.poll() is None
    assert process.returncode == 0
