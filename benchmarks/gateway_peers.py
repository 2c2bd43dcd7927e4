"""Other gateways, each in an environment of its own, in front of the same engine.

vllm-router, sglang-router and LiteLLM are installed from PyPI into the user's cache folder at their
first use; nginx is Debian's, and left out where it is not installed.

Owns: their command lines and processes. Must not: measure.
"""

import contextlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from engines.kinds import ReplicaAddress
from tools.setup import llamacpp_wheel as wheel

NGINX, VLLM, SGLANG, LITELLM = "nginx", "vllm-router", "sglang-router", "litellm"
PACKAGES = {
    VLLM: "vllm-router==0.1.17",
    SGLANG: "sglang-router==0.3.2",
    LITELLM: "litellm[proxy]==1.108.7",
}
PEERS = (NGINX, VLLM, SGLANG, LITELLM)
_START_S = 120
_KEY = "sk-benchmark"  # LiteLLM starts with none but its own
_NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 128; }}
  server {{
    listen 127.0.0.1:{port};
    keepalive_requests 1000000;
    location / {{
      proxy_pass http://engine;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
_LITELLM = """\
model_list:
  - model_name: fake
    litellm_params: {{model: openai/fake, api_base: "http://127.0.0.1:{engine}/v1", api_key: none}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running gateway: the first of its processes, and where it listens."""

    name: str
    pid: int
    address: ReplicaAddress


def bin_of(name: str) -> Path:
    """Return where a peer's programs are, after making its environment where there is none.

    Raises:
        CalledProcessError: pip could not install it; it has said why.
    """
    base = wheel.cache_folder(dict(os.environ), platform.system()).parent / "peers"
    folder = base / PACKAGES[name].replace("[proxy]", "").replace("==", "-")
    if not (folder / "made").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        pip += ["--disable-pip-version-check", PACKAGES[name]]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        (folder / "made").touch()
    return folder / "bin"


def can_run(name: str) -> bool:
    """Say whether a peer is there, or can be got."""
    return name != NGINX or shutil.which("nginx") is not None


def _command(name: str, folder: Path, port: int, engine: int) -> list[str]:
    url = f"http://127.0.0.1:{engine}"
    if name == NGINX:
        config = folder / "nginx.conf"
        config.write_text(_NGINX.format(folder=folder, port=port, engine=engine))
        return ["nginx", "-c", str(config), "-p", str(folder), "-e", str(folder / "error")]
    if name == LITELLM:
        config = folder / "litellm.yaml"
        config.write_text(_LITELLM.format(engine=engine))
        program = str(bin_of(name) / "litellm")
        return [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    found = [str(bin_of(name) / name)] if name == VLLM else []
    if name == SGLANG:
        found = [str(bin_of(name) / "python"), "-m", "sglang_router.launch_router"]
    found += ["--worker-urls", url, "--host", "127.0.0.1", "--port", str(port)]
    found += ["--policy", "round_robin", "--log-level", "error"]
    return [*found, "--prometheus-port", str(_free_port())]


@contextlib.contextmanager
def running(name: str, engine: int) -> Iterator[Peer]:
    """Start a peer before the engine on a port, wait until it answers, and end it at the end."""
    port = _free_port()
    key = f"Bearer {_KEY}" if name == LITELLM else None
    address = ReplicaAddress("127.0.0.1", port, authorization=key)
    # LiteLLM takes an engine that says the same word a hundred times for one that has gone mad.
    environ = os.environ | {"LITELLM_MASTER_KEY": _KEY, "REPEATED_STREAMING_CHUNK_LIMIT": "100000"}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        argv = _command(name, Path(folder), port, engine)
        child = subprocess.Popen(argv, stdout=said, stderr=said, env=environ)
        try:
            if not _answers(child, address):
                said.seek(0)
                raise SystemExit(f"{name} does not start: {said.read().decode()[-2_000:]}")
            yield Peer(name, child.pid, address)
        finally:
            child.terminate()
            child.wait()


def _answers(child: "subprocess.Popen[bytes]", address: ReplicaAddress) -> bool:
    ends_s = time.monotonic() + _START_S
    ask = {"model": "fake", "messages": [{"role": "user", "content": "Hello"}]}
    while time.monotonic() < ends_s and child.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            url = f"{address.key}{address.base_path}/chat/completions"
            headers = {"authorization": address.authorization} if address.authorization else {}
            if httpx.post(url, json=ask, headers=headers, timeout=10).status_code == 200:
                return True
        time.sleep(0.2)
    return False


def processes_of(pid: int) -> list[int]:
    """Return a process and all that it has started, by Linux's /proc."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
