"""Mixed load with cancellations on one llama.cpp worker: does memory grow, does anything stay?

    .venv/bin/python benchmarks/soak.py --minutes 10

Clients stream and ask whole, short and long, under one of two system prompts or none; a third of
them hang up at a moment of chance. Prints a line every tenth of the time, then the machine, the
commit and what was left when all had gone: nothing may run or wait, no cell may be in use.

Owns: the load and the table. Must not: reach beyond loopback or run without an end.
"""

import argparse
import asyncio
import os
import platform
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway.overhead.machine import commit

_CLIENTS = 24
_ASKS = ("Hello", "Tell me a story", "Count to fifty", "What is Weighbridge?", "Hola", "x y " * 300)
_SYSTEMS = (None, "You are a helpful assistant.", "Answer briefly. " * 40)


@dataclass
class Soak:
    """One run; the counter and the source of chance are its only mutable state."""

    http: httpx.AsyncClient
    ends_s: float
    chance: random.Random
    outcomes: Counter[str] = field(default_factory=Counter)

    async def client(self) -> None:
        """Ask until the time is over."""
        while time.monotonic() < self.ends_s:
            try:
                patience_s = self.chance.uniform(0.001, 0.5) if self.chance.random() < 0.33 else 60
                async with asyncio.timeout(patience_s):
                    self.outcomes[await self._ask()] += 1
            except TimeoutError:
                self.outcomes["hung up"] += 1

    async def _ask(self) -> str:
        system, ask = self.chance.choice(_SYSTEMS), self.chance.choice(_ASKS)
        turns = [{"role": "system", "content": system}] if system else []
        body: dict[str, Any] = {
            "messages": [*turns, {"role": "user", "content": ask}],
            "max_tokens": self.chance.choice((1, 20, 150)),
            "temperature": self.chance.choice((0, 1)),
            "n": self.chance.choice((1, 1, 1, 3)),
            "stream": self.chance.random() < 0.7,
        }
        async with self.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            async for _ in answer.aiter_bytes():
                pass
        return str(answer.status_code)

    async def figures(self) -> dict[str, str]:
        """Return the worker's figures as they stand in its exposition."""
        text = (await self.http.get("/metrics")).text
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name.removeprefix("weighbridge_worker_"): value for name, value in rows}


def rss_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB, as `ps` tells it on Linux and macOS."""
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True)
    return int(said.stdout) / 1024


async def run(worker: "subprocess.Popen[str]", url: str, minutes: float) -> bool:
    """Load the worker, print the table; return whether nothing stayed behind."""
    limits = httpx.Limits(max_connections=_CLIENTS + 8)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        chance = random.Random(1)  # noqa: S311 - the same load in every run, and no secret
        soak = Soak(http, time.monotonic() + 60 * minutes, chance)
        clients = [asyncio.create_task(soak.client()) for _ in range(_CLIENTS)]
        print("seconds  RSS MiB  running  waiting  kv used  kept MiB  preempted")
        for tenth in range(1, 12):
            await asyncio.wait(clients, timeout=6 * minutes)
            found = await soak.figures()
            print(
                f"{tenth * 6 * minutes:7.0f}  {rss_mib(worker.pid):7.1f}  "
                f"{found['requests_running']:>7}  {found['requests_waiting']:>7}  "
                f"{float(found['kv_used_ratio']):7.3f}  "
                f"{float(found['prefix_cache_bytes']) / 2**20:8.1f}  "
                f"{found['preemptions_total']:>9}",
                flush=True,
            )
        await asyncio.gather(*clients)
        left = await soak.figures()
    print(f"{platform.platform()}, {os.cpu_count()} cores, commit {commit()}")
    print(f"requests by outcome: {dict(soak.outcomes)}")
    names = ("requests_running", "requests_waiting", "kv_used_ratio")
    return all(float(left[name]) == 0 for name in names)


def main() -> None:
    """Start a worker, load it, end it; exit 1 where something stayed behind."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=10, help="default: %(default)s")
    parser.add_argument("--weights", default="demo:qwen", help="default: %(default)s")
    asked = parser.parse_args()
    argv = [sys.executable, "-P", "-m", "engines.llamacpp", "--weights", asked.weights]
    argv += ["--port", "0", "--threads", "1", "--cells", "2500"]  # few, so that some give way
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as worker:
        url = worker.stdout.readline().split()[-1] if worker.stdout else ""
        try:
            clean = asyncio.run(run(worker, url, asked.minutes))
        finally:
            worker.terminate()
    print("nothing stayed behind" if clean else "SOMETHING STAYED BEHIND")
    sys.exit(not clean)


if __name__ == "__main__":
    main()
