"""How soon a llama.cpp worker stops for a client that has gone, direct and through the gateway.

    .venv/bin/python -m benchmarks.hanging_up

A client asks for a long answer, streamed or whole, hangs up in the middle, and looks at the worker
until it runs nothing: that takes so many milliseconds, and of a stream so many tokens more are
generated than the client has read, those on their way among them. The client's own looking takes a
part of both.

Owns: the worker, the clients, the table. Must not: reach beyond loopback.
"""

import argparse
import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median, quantiles

import httpx

from gateway.overhead.machine import machine
from gateway.overhead.starting import Engine, serving

_MODEL = "demo-qwen"
_CHAT = "/v1/chat/completions"
_READ = 5  # events before the client goes
_FIGURES = re.compile(
    r"^weighbridge_worker_(requests_running|completion_tokens_total) (\S+)", re.MULTILINE
)
_PATIENCE_S = 10.0


@dataclass
class Hangings:
    """What was seen of one way of asking."""

    ms: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)

    def told(self) -> str:
        """Return the row."""
        late_ms = quantiles(self.ms, n=20)[-1]
        tokens = f"{median(self.tokens):7.0f} {max(self.tokens):5.0f}" if self.tokens else ""
        return f"{median(self.ms):8.1f} {late_ms:8.1f} {tokens}"


async def _figures(worker: httpx.AsyncClient) -> tuple[float, float]:
    """Return how many requests run, and how many tokens have been generated so far."""
    found = dict(_FIGURES.findall((await worker.get("/metrics")).text))
    return float(found["requests_running"]), float(found["completion_tokens_total"])


async def _until(worker: httpx.AsyncClient, running: float) -> float:
    """Return the tokens so far once so many requests run."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            now, tokens = await _figures(worker)
            if now == running:
                return tokens


async def _read(answer: httpx.Response) -> int:
    """Read some events of a stream; return how many have come."""
    heard = 0
    async for piece in answer.aiter_text():
        heard += piece.count("data: ")
        if heard > _READ:
            break
    return heard


async def _hang_up(url: str, model: str, worker: httpx.AsyncClient, *, stream: bool) -> list[float]:
    """Ask, and go; return milliseconds, and of a stream the tokens beyond what was read."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Tell me a story."}],
        "ignore_eos": True,
        "max_tokens": 1_900,
        "stream": stream,
    }
    before, heard = await _until(worker, 0), 0
    async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE_S) as http:
        if stream:
            async with http.stream("POST", _CHAT, json=body) as answer:
                heard = await _read(answer)
                gone_s = time.perf_counter()
        else:
            asking = asyncio.create_task(http.post(_CHAT, json=body))
            await _until(worker, 1)
            asking.cancel()
            gone_s = time.perf_counter()
            await asyncio.wait([asking])
    tokens = await _until(worker, 0) - before
    ms = 1_000 * (time.perf_counter() - gone_s)
    return [ms, tokens - (heard - 1)] if stream else [ms]  # the first event is the role alone


async def _measure(worker_url: str, gateway_url: str, times: int) -> dict[str, Hangings]:
    """Hang up in turns, so that a machine that is busy is so for all."""
    found: dict[str, Hangings] = {}
    async with httpx.AsyncClient(base_url=worker_url, timeout=_PATIENCE_S) as worker:
        sides = (("direct", worker_url, _MODEL), ("through", gateway_url, "measured"))
        for _ in range(times):
            for name, url, model in sides:
                for stream in (True, False):
                    row = found.setdefault(f"{name}, {'stream' if stream else 'whole'}", Hangings())
                    ms, *tokens = await _hang_up(url, model, worker, stream=stream)
                    row.ms.append(ms)
                    row.tokens += tokens
    return found


@contextlib.contextmanager
def _working() -> Iterator[str]:
    """Run a worker; give its root."""
    argv = [sys.executable, "-P", "-m", "engines.llamacpp", "--weights", "demo:qwen"]
    with subprocess.Popen(
        [*argv, "--port", "0", "--threads", "1"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            yield line.split()[-1]
        finally:
            process.terminate()


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--times", type=int, default=40, help="default: %(default)s")
    asked = parser.parse_args()
    with (
        _working() as worker,
        serving(Engine(f"{worker}/v1", _MODEL), dict(os.environ)) as (_, port),
    ):
        found = asyncio.run(_measure(worker, f"http://127.0.0.1:{port}", asked.times))
    print(machine())
    print(f"{'':16}   p50 ms   p95 ms  tokens  most")
    for name, row in found.items():
        print(f"{name:16} {row.told()}")


if __name__ == "__main__":
    main()
