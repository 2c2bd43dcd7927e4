"""Conversations on two llama.cpp workers behind the gateway: what prefix affinity is worth.

    .venv/bin/python -m benchmarks.affinity

Several clients hold one conversation each, turn after turn, and begin another; all have a system
prompt in common. The same load runs with `prefix_affinity` and without, in turns, each time on
fresh workers. Prints what share of the prompt tokens the workers found in their caches, as they
report it, the times to the first token, and how long all of it took.

Owns: the load and the table. Must not: reach beyond loopback or run without an end.
"""

import argparse
import asyncio
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import msgspec

from engines.protocol.events import EventSplitter, event_data
from gateway.overhead.machine import commit

_SYSTEM = "You are a helpful assistant of a shop that sells maps. " * 4
_DEADLINE_S = 600
_FILE = """
gateway: {{port: 0, prefix_affinity: {affine}, queue_timeout_s: 120}}
engines: {{cpu: {{kind: llamacpp, parallel: 4, threads: 1}}}}
models: {{m: {{engine: cpu, weights: "{weights}", replicas: 2}}}}
"""


@dataclass(frozen=True, slots=True)
class Load:
    """How many clients, conversations of each, turns of each; what is said and answered."""

    clients: int = 6
    conversations: int = 4
    turns: int = 5
    words: int = 60
    answer_tokens: int = 40


@dataclass
class Measured:
    """One run."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    first_s: list[float] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def cached(self) -> float:
        """The share of prompt tokens that were cached."""
        return self.cached_tokens / max(1, self.prompt_tokens)


async def _turn(
    http: httpx.AsyncClient, turns: list[dict[str, str]], load: Load, to: Measured
) -> str:
    """Ask once; return the answer, and add what it cost."""
    body: dict[str, Any] = {
        "model": "m",
        "messages": turns,
        "max_tokens": load.answer_tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    sent_s, said, splitter = time.perf_counter(), list[str](), EventSplitter()
    async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        answer.raise_for_status()
        async for piece in answer.aiter_bytes():
            for event in splitter.feed(piece):
                data = event_data(event)
                if not data or data == b"[DONE]":
                    continue
                chunk = msgspec.json.decode(data)
                if usage := chunk.get("usage"):
                    to.prompt_tokens += usage["prompt_tokens"]
                    to.cached_tokens += (usage["prompt_tokens_details"] or {})["cached_tokens"]
                for choice in chunk["choices"]:
                    if text := choice["delta"].get("content"):
                        if not said:
                            to.first_s.append(time.perf_counter() - sent_s)
                        said.append(text)
    return "".join(said)


async def _client(http: httpx.AsyncClient, number: int, load: Load, to: Measured) -> None:
    chance = random.Random(number)  # noqa: S311 - the same words in every run, and no secret
    for _ in range(load.conversations):
        turns = [{"role": "system", "content": _SYSTEM}]
        for _ in range(load.turns):
            words = (
                chance.choice(("river", "hill", "road", "sea", "town")) for _ in range(load.words)
            )
            turns.append({"role": "user", "content": " ".join(words)})
            turns.append({"role": "assistant", "content": await _turn(http, turns, load, to)})


async def _both_up(http: httpx.AsyncClient) -> None:
    while True:
        lines = (await http.get("/metrics")).text.splitlines()
        rows = [line for line in lines if line.startswith("weighbridge_engine_up{")]
        if all(row.endswith(" 1.0") for row in rows):
            return
        await asyncio.sleep(0.1)


async def _run(url: str, load: Load) -> Measured:
    measured = Measured()
    async with httpx.AsyncClient(base_url=url, timeout=_DEADLINE_S) as http:
        await _both_up(http)
        began_s = time.perf_counter()
        await asyncio.gather(*(_client(http, n, load, measured) for n in range(load.clients)))
        measured.took_s = time.perf_counter() - began_s
    return measured


def _served(weights: str, load: Load, *, affine: bool) -> Measured:
    """Run the load once on a gateway of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "routing.yaml")
        file.write_text(_FILE.format(affine=str(affine).lower(), weights=weights), encoding="utf-8")
        start = "from gateway.cli import main; main()"
        argv = [sys.executable, "-c", start, "serve", "--config", str(file)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as gateway:
            try:
                lines = iter(gateway.stdout or ())
                url = next(word for line in lines for word in line.split() if "http://" in word)
                return asyncio.run(_run(url.removesuffix("/v1"), load))
            finally:
                gateway.terminate()


def main() -> None:
    """Run both in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--weights", default="demo:qwen", help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=3, help="of each; default: %(default)s")
    parser.add_argument("--conversations", type=int, default=4, help="default: %(default)s")
    asked = parser.parse_args()
    load = Load(conversations=asked.conversations)
    found: dict[bool, list[Measured]] = {True: [], False: []}
    for _ in range(asked.runs):
        for affine, runs in found.items():
            runs.append(_served(asked.weights, load, affine=affine))
    print("affinity  prompt tokens cached  TTFT p50  TTFT p95  all of it (medians of runs)")
    for affine, runs in found.items():
        ends = [quantiles(run.first_s, n=20) for run in runs]
        half, most = (1_000 * median(end[place] for end in ends) for place in (9, 18))
        cached, took_s = median(r.cached for r in runs), median(r.took_s for r in runs)
        name = "on" if affine else "off"
        print(f"{name:8}  {cached:20.1%}  {half:5.0f} ms  {most:5.0f} ms  {took_s:8.1f} s")
    print(f"{platform.platform()}, {os.cpu_count()} cores, commit {commit()}")


if __name__ == "__main__":
    main()
