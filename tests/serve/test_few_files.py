"""A gateway that may open no more files blames no engine for it."""

import asyncio
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.cli.server import connections_within, files_wanted
from tests.support.process import GatewayProcess, gateway_process

CONFIG = "engines: {cpu: {kind: llamacpp}}\nmodels: {m: {engine: cpu, weights: 'demo:qwen'}}"
ASK = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
CROWD = 40


def test_as_many_clients_are_taken_as_there_are_files_for() -> None:
    assert connections_within(files_wanted(4_096)) == 4_096
    assert connections_within(64) == 16
    assert connections_within(1) == 1


@contextmanager
def files_for(gateway: GatewayProcess, more: int) -> Iterator[None]:
    """Let the gateway open so many more files than it has."""
    before = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    now = len([*Path(f"/proc/{gateway.pid}/fd").iterdir()])
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (now + more, before[1]))
    try:
        yield
    finally:
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, before)


async def asked(http: httpx.AsyncClient) -> tuple[int, str]:
    """Return status and text; 0 where the system had no file for the connection either."""
    try:
        answer = await http.post("/v1/chat/completions", json=ASK)
    except httpx.TransportError:
        return 0, ""
    return answer.status_code, answer.text


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has prlimit")
async def test_a_crowd_without_files_gets_503_and_the_engine_stays(tmp_path: Path) -> None:
    with gateway_process(tmp_path, config=CONFIG) as gateway:
        limits = httpx.Limits(max_connections=None)
        async with gateway.client(limits=limits) as http:
            assert (await asked(http))[0] == 200
            workers = gateway.workers()
            with files_for(gateway, more=20):
                crowd = await asyncio.gather(*(asked(http) for _ in range(CROWD)))
            assert {status for status, _ in crowd} <= {0, 200, 503}
            refused = [text for status, text in crowd if status == 503]
            assert refused
            assert all("too_many_connections" in text for text in refused)
        async with gateway.client() as http:
            assert (await asked(http))[0] == 200
        assert gateway.workers() == workers
        assert "cannot connect" not in gateway.errors()
