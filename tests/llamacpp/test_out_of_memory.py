"""Memory that is not there: one line and exit 2 at the start, later an error and life goes on."""

import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.contract import CHAT, EMBEDDINGS, user
from tests.support.process import gateway_process
from tests.support.waiting import until
from tests.support.worker import command, working

if sys.platform != "linux":
    pytest.skip("needs a limit on another process's memory", allow_module_level=True)

MIB = 1024 * 1024
HELLO = {"messages": user("Hello"), "max_tokens": 4}
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
CONFIG = """
engines: {cpu: {kind: llamacpp}}
models:
  large: {engine: cpu, weights: "demo:qwen", context: 500000}
  small: {engine: cpu, weights: "demo:qwen"}
"""


def taken(pid: int) -> int:
    """Return the bytes of memory that a process has in its address space."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmSize:\s*(\d+)", status)[0]) * 1024


@pytest.mark.parametrize(
    ("limit_mib", "options", "said"),
    [
        (1_000, ("--context", "2000000"), "--context?"),
        (1_000, ("--context", "100000", "--batch-tokens", "100000"), "insufficient memory"),
        (1_000, ("--context", "2000000", "--kv-type", "q4_0"), "--kv-type q4_0"),
        (220, (), "cannot"),
    ],
)
def test_a_start_without_memory_is_one_line_and_exit_2(
    limit_mib: int, options: tuple[str, ...], said: str
) -> None:
    argv = command("--weights", "demo:qwen", "--port", "0", *options)
    limited = ["prlimit", f"--as={limit_mib * MIB}", *argv]
    ended = subprocess.run(limited, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert said in ended.stderr


async def test_the_gateway_says_that_a_model_had_no_memory_and_serves_the_others(
    tmp_path: Path,
) -> None:
    with gateway_process(tmp_path, config=CONFIG) as gateway:
        async with gateway.client() as http:
            for model in ("large", "small"):
                assert (await http.post(CHAT, json=HELLO | {"model": model})).status_code == 200
            # What is started from now on inherits it.
            resource.prlimit(gateway.pid, resource.RLIMIT_AS, (700 * MIB, UNLIMITED[1]))
            os.kill(gateway.workers()["large"], signal.SIGKILL)

            async def has_failed() -> bool:
                models = (await http.get("/ready")).json()["models"]
                return bool(models["large"]["state"] == "failed")

            await until(has_failed)
            refused = await http.post(CHAT, json=HELLO | {"model": "large"})
            assert refused.status_code == 503
            assert "exit code 2: llama.cpp cannot" in refused.json()["error"]["message"]
            assert (await http.post(CHAT, json=HELLO | {"model": "small"})).status_code == 200
            assert set(gateway.workers()) == {"small"}


async def test_memory_that_fails_later_ends_a_request_and_comes_back() -> None:
    with working(options=["--context", "200000"]) as worker:
        async with worker.client() as http:
            assert (await http.post(CHAT, json=HELLO)).status_code == 200
            pid = worker.process.pid
            resource.prlimit(pid, resource.RLIMIT_AS, (taken(pid) + 64 * MIB, UNLIMITED[1]))
            # The first text to embed needs a context of its own.
            refused = await http.post(EMBEDDINGS, json={"input": "word " * 3_000})
            assert refused.status_code == 500
            assert refused.json()["error"]["code"] == "engine_error"
            assert (await http.post(CHAT, json=HELLO)).status_code == 200
            resource.prlimit(pid, resource.RLIMIT_AS, UNLIMITED)
            assert (await http.post(EMBEDDINGS, json={"input": "word"})).status_code == 200
