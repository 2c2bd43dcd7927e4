"""Starts the engines that are compared, with the same threads, slots and cells.

Owns: their command lines and processes. Must not: measure.
"""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from benchmarks.load import Endpoint
from benchmarks.peers import Peers

SLOTS = 16
CELLS = 32_768
_START_S = 120

OURS, LLAMA_SERVER, LLAMA_CPP_PYTHON = "weighbridge", "llama-server", "llama_cpp.server"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running engine."""

    name: str
    endpoint: Endpoint
    pid: int


def command(
    name: str, peers: Peers, weights: Path, port: int, threads: int, *, caches: bool
) -> list[str]:
    """Return the command line of an engine.

    With `caches` each keeps what its defaults keep; without, every prompt is read whole.
    """
    at, each = str(port), str(threads)
    if name == OURS:
        found = [sys.executable, "-P", "-m", "engines.llamacpp", "--weights", str(weights)]
        found += ["--name", "m", "--port", at, "--threads", each, "--parallel", str(SLOTS)]
        found += ["--context", str(CELLS), "--cells", str(CELLS)]
        return found if caches else [*found, "--no-prefix-cache"]
    if name == LLAMA_SERVER:
        found = [str(peers.llama_server), "-m", str(weights), "--port", at, "--host", "127.0.0.1"]
        found += ["-t", each, "-tb", each, "-np", str(SLOTS), "-c", str(CELLS), "-kvu"]
        return found if caches else [*found, "--no-cache-prompt", "--cache-ram", "0"]
    found = [str(peers.python), "-m", "llama_cpp.server", "--model", str(weights), "--port", at]
    found += ["--n_threads", each, "--n_threads_batch", each, "--n_ctx", "4096"]
    # By default a second request cuts the first one's stream off.
    return [*found, "--interrupt_requests", "false"]


@contextlib.contextmanager
def running(
    name: str, peers: Peers, weights: Path, threads: int, *, caches: bool
) -> Iterator[Contestant]:
    """Start an engine, wait until it serves, and end it at the end."""
    port = _free_port()
    argv = command(name, peers, weights, port, threads, caches=caches)
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(argv, stdout=said, stderr=said)
        try:
            _wait(child, port, said)
            bias = {"ignore_eos": True} if name != LLAMA_CPP_PYTHON else {}
            yield Contestant(name, Endpoint(port, bias), child.pid)
        finally:
            child.terminate()
            child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(child: "subprocess.Popen[bytes]", port: int, said: IO[bytes]) -> None:
    ends_s = time.monotonic() + _START_S
    while time.monotonic() < ends_s and child.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/v1/models").status_code == 200:
                return
        time.sleep(0.1)
    said.seek(0)
    raise SystemExit(said.read().decode()[-2_000:])
