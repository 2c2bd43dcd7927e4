"""Real vLLM: the environment that `make test-vllm` makes, tiny models, entries of the file."""

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import httpx

from tests.support.process import GatewayProcess, children

ROOT = Path(__file__).resolve().parent.parent.parent
# Loading takes half a minute on two cores that do nothing else.
START_S = 240
CONTEXT = 1_024
_SHARED = "/dev/shm"  # noqa: S108 - where the system keeps segments
# What a look at a process says that ends just then, or that closes a file.
GONE = FileNotFoundError, ProcessLookupError
QWEN, LLAMA, TUNED = "tiny-qwen2", "tiny-llama", "tiny-tuned"


def vllm_venv() -> Path | None:
    """Return the environment with vLLM, None where `make test-vllm` did not start these tests."""
    named = os.environ.get("WEIGHBRIDGE_TEST_VLLM")
    return Path(named) if named else None


def make_toys(venv: Path, folder: Path) -> None:
    """Make the tiny models `qwen2`, `llama` and the adapter `qwen2-lora` in a folder."""
    script = ROOT / "tests" / "vllm" / "toys.py"
    subprocess.run(
        [venv / "bin" / "python", script, folder, ROOT / "LICENSE"],
        check=True,
        capture_output=True,
        timeout=120,
    )


def engine(venv: Path, *extra: str, **keys: object) -> str:
    """Return an entry of `engines:`, in the sizes that small machines have room for."""
    given = {
        "kind": "vllm",
        "venv": str(venv),
        "context": CONTEXT,
        "parallel": 64,
        "dtype": "float32",
        "drain_timeout_s": 10,
        "extra_args": ["--enforce-eager", *extra],
        "environment": {
            "HF_HUB_OFFLINE": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
        },
    }
    return json.dumps(given | keys)


def wait_ready(gateway: GatewayProcess, *models: str) -> None:
    """Wait until all of these models are ready."""
    deadline_s = time.monotonic() + START_S
    while True:
        told = httpx.get(f"{gateway.url}/ready", timeout=20).json()["models"]
        states = {name: told[name]["state"] for name in models}
        if set(states.values()) == {"ready"}:
            return
        assert time.monotonic() < deadline_s, f"{states}; {gateway.errors()[-4_000:]}"
        time.sleep(0.2)


def wait_replicas(gateway: GatewayProcess, model: str, count: int) -> None:
    """Wait until so many replicas of a model are ready."""
    deadline_s = time.monotonic() + START_S
    while True:
        told = httpx.get(f"{gateway.url}/ready", timeout=20).json()["models"][model]["replicas"]
        if [one["state"] for one in told].count("ready") >= count:
            return
        assert time.monotonic() < deadline_s, f"{told}; {gateway.errors()[-4_000:]}"
        time.sleep(0.2)


def servers(gateway: GatewayProcess) -> dict[str, int]:
    """Return the process ids of the vLLMs of a gateway by their sockets' names, in order."""
    found = {pid: re.search(r" --uds=(\S+)", args) for pid, args in children(gateway.pid).items()}
    return {Path(uds[1]).name: pid for pid, uds in sorted(found.items()) if uds}


def socket_of(gateway: GatewayProcess) -> Path:
    """Return the socket of the only vLLM of a gateway."""
    (args,) = [args for args in children(gateway.pid).values() if " --uds=" in args]
    found = re.search(r" --uds=(\S+)", args)
    assert found
    return Path(found[1])


def session(pid: int) -> list[int]:
    """Return the living processes of a session: a vLLM with all that it has started."""
    listed = subprocess.run(
        ["ps", "-axww", "-o", "pid=,sid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(row[0]) for row in rows if int(row[1]) == pid and not row[2].startswith("Z")]


def segments(pids: Iterable[int]) -> set[str]:
    """Return the segments of shared memory that these processes have mapped and that have names."""
    found: set[str] = set()
    for pid in pids:
        with contextlib.suppress(*GONE):
            maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
            found |= set(re.findall(rf"{_SHARED}/\S+$", maps, re.MULTILINE))
    return {name for name in found if Path(name).exists()}


def listening_ports(pid: int) -> set[int]:
    """Return the TCP ports on which a process listens."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(*GONE):
            found = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
            if found:
                inodes.add(found[1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def gone(pid: int, shared: set[str]) -> bool:
    """Say whether nothing is left of a session, and none of these segments; waits some seconds."""
    deadline_s = time.monotonic() + 10
    while session(pid) or any(Path(name).exists() for name in shared):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True
