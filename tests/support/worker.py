"""Our llama.cpp worker as a real process, on a port of loopback."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import httpx
from prometheus_client.parser import text_string_to_metric_families

END_S = 20


@dataclass(frozen=True)
class WorkerProcess:
    """A worker that listens; `url` is its root."""

    process: subprocess.Popen[str]
    url: str
    errors: IO[str]

    def client(self) -> httpx.AsyncClient:
        headers = {"content-type": "application/json"}
        return httpx.AsyncClient(base_url=self.url, timeout=60, headers=headers)

    def stderr(self) -> str:
        self.errors.seek(0)
        return self.errors.read()


@contextmanager
def working(
    weights: str = "demo:qwen", options: Sequence[str] = (), stdin: int = subprocess.DEVNULL
) -> Iterator[WorkerProcess]:
    """Run a worker until the block ends; it has one thread, as demo models do under a gateway."""
    argv = command("--weights", weights, "--port", "0", "--threads", "1", *options)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            argv, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        worker = WorkerProcess(process, process.stdout.readline().rpartition(" ")[2], errors)
        try:
            assert worker.url, worker.stderr()
            yield WorkerProcess(process, worker.url.strip(), errors)
        finally:
            process.terminate()
            process.wait(END_S)


def command(*options: str) -> list[str]:
    """Return the command line of a worker, as the gateway would start it."""
    return [sys.executable, "-P", "-m", "engines.llamacpp", *options]


async def figures(http: httpx.AsyncClient) -> dict[str, float]:
    """Return a worker's figures by their short names (`requests_running`, `steps`)."""
    text = (await http.get("/metrics")).text
    return {
        sample.name.removeprefix("weighbridge_worker_").removesuffix("_total"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
