"""What is measured, as processes of their own: a gateway, and an engine that answers at once.

Owns: the file that the gateway serves by, and when each of the two is ready.
Must not: ask them for anything.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway.overhead.machine import CannotMeasure

_START_S = 60.0
_GATEWAY = "from gateway.cli import main; main()"
_LISTENING = re.compile(r"^Listening on http://127\.0\.0\.1:(\d+)", re.MULTILINE)
_CONFIG = """\
engines:
  it: {{kind: remote, url: "{url}"{key}, health_interval_s: 60}}
models:
  measured: {{engine: it, upstream_model: "{model}"}}
routes:
  - {{name: code, when: {{task: code}}, use: [measured]}}
  - {{name: large, when: {{request_size: large}}, use: [measured]}}
  - {{name: other tongue, when: {{language: {{not: [en, de, fr, es]}}}}, use: [measured]}}
  - {{name: rest, use: [measured]}}
"""
KEY = "WEIGHBRIDGE_BENCH_KEY"


@dataclass(frozen=True, slots=True)
class Engine:
    """A real engine to measure with: its base URL, as `/v1` ends, the model, the key."""

    url: str
    model: str
    key: str | None = None


@contextmanager
def faked() -> Iterator[int]:
    """Run the engine that answers at once; yield its port."""
    with _running([sys.executable, "-m", "gateway.overhead.fake_engine"], os.environ) as (
        child,
        out,
    ):
        yield int(_line(child, out, re.compile(r"^(\d+)$", re.MULTILINE), "the fake engine"))


@contextmanager
def serving(
    engine: Engine, environ: dict[str, str], python: str = sys.executable
) -> Iterator[tuple[int, int]]:
    """Run a gateway before an engine, which it serves as `measured`; yield its process and port."""
    key = f", api_key: ${{{KEY}}}" if engine.key else ""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "routing.yaml"
        config.write_text(
            _CONFIG.format(url=engine.url, model=engine.model, key=key), encoding="utf-8"
        )
        argv = [python, "-c", _GATEWAY, "serve", f"--config={config}", "--port=0"]
        argv += ["--host=127.0.0.1", "--no-access-log"]
        with _running(argv, environ) as (child, out):
            yield child.pid, int(_line(child, out, _LISTENING, "the gateway"))


@contextmanager
def _running(
    argv: Sequence[str], environ: "dict[str, str] | os._Environ[str]"
) -> Iterator[tuple["subprocess.Popen[bytes]", IO[bytes]]]:
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(
            argv, stdout=out, stderr=subprocess.STDOUT, env=environ, stdin=subprocess.DEVNULL
        )
        try:
            yield child, out
        finally:
            child.terminate()
            child.wait()


def _line(
    child: "subprocess.Popen[bytes]", out: IO[bytes], wanted: re.Pattern[str], who: str
) -> str:
    """Wait until a process says this, and return its part in brackets.

    Raises:
        CannotMeasure: it does not.
    """
    ends_s = time.monotonic() + _START_S
    said = ""
    while child.poll() is None and time.monotonic() < ends_s:
        said = os.pread(out.fileno(), 1 << 16, 0).decode("utf-8", "replace")
        if found := wanted.search(said):
            return found[1]
        time.sleep(0.05)
    raise CannotMeasure(f"{who} does not start: {said.strip()[-600:]}")
