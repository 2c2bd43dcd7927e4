"""Mixed load and injected faults on a whole gateway: does memory grow, is anything lost or left?

    .venv/bin/python -m benchmarks.soak_gateway --seconds 600

`weighbridge serve` runs two llama.cpp workers of its own, of which one after the other is killed or
stands still for some seconds, and reaches a third one over a wire that now and then sends nonsense
or breaks. Clients stream and ask whole; some hang up at a moment of chance, some read slowly.
Prints a line every tenth of the time. When all have gone nothing may be in flight, wait or be
outstanding; of the third worker, which nobody kills, the gateway must have counted every token;
every answer that a client got whole must stand among those that ended well; and the gateway's
memory in the last third may be above that of the second by no more than `_MAY_GROW_MIB`.

Owns: the load, the faults, the table. Must not: reach beyond loopback or run without an end.
"""

import argparse
import asyncio
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.faulty_wire import faulty_wire
from benchmarks.soak import rss_mib
from gateway.overhead.machine import commit

_CLIENTS = 16
_FAULT_EVERY_S = 6.0
_STILL_S = 4.0
_MAY_GROW_MIB = 8.0
_SETTLES_S = 60
_ASKS = ("Hello", "Tell me a story", "Count to fifty", "Hola", "x y " * 200)
_FILE = """
gateway: {{port: 0, retry_share: 1, queue_timeout_s: 20}}
engines:
  own: {{kind: llamacpp, parallel: 4, threads: 1}}
  far: {{kind: remote, url: "{url}", health_interval_s: 1}}
models:
  own:
    engine: own
    weights: "demo:qwen"
    replicas: 2
    idle_timeout_s: 2
    max_concurrent: 12
    max_queued: 64
    hedge: {{share: 0.1}}
  far: {{engine: far, upstream_model: demo-qwen, idle_timeout_s: 2}}
"""


@dataclass
class Soak:
    """One run; what clients saw, and the source of chance."""

    http: httpx.AsyncClient
    ends_s: float
    chance: random.Random
    saw: Counter[str] = field(default_factory=Counter)

    async def client(self) -> None:
        """Ask until the time is over."""
        while time.monotonic() < self.ends_s:
            patience_s = self.chance.uniform(0.001, 0.5) if self.chance.random() < 0.25 else 90
            try:
                async with asyncio.timeout(patience_s):
                    self.saw[await self._ask(slow=self.chance.random() < 0.05)] += 1
            except TimeoutError:
                self.saw["hung up"] += 1
            except httpx.HTTPError as error:
                self.saw[type(error).__name__] += 1

    async def _ask(self, *, slow: bool) -> str:
        body: dict[str, Any] = {
            "model": self.chance.choice(("own", "own", "far")),
            "messages": [{"role": "user", "content": self.chance.choice(_ASKS)}],
            "max_tokens": self.chance.choice((1, 20, 150)),
            "ignore_eos": True,
            "temperature": self.chance.choice((0, 1)),
            "stream": self.chance.random() < 0.7,
        }
        tail = b""
        async with self.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            async for piece in answer.aiter_bytes():
                tail = (tail + piece)[-4_096:]
                if slow:
                    await asyncio.sleep(0.05)
        if answer.status_code != 200:
            return str(answer.status_code)
        return "whole" if b"[DONE]" in tail or not body["stream"] else "ended with an error"

    async def figures(self) -> Counter[str]:
        """Return the gateway's figures added up, by name, and by `model:name`."""
        return _added(await self.http.get("/metrics"))


def _added(answer: httpx.Response) -> "Counter[str]":
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            name = sample.name.removeprefix("weighbridge_").removesuffix("_total")
            name = f"{name} {sample.labels['outcome']}" if "outcome" in sample.labels else name
            found[name] += sample.value  # type: ignore[assignment]  # a Counter counts floats too
            if "model" in sample.labels:
                found[f"{sample.labels['model']}:{name}"] += sample.value  # type: ignore[assignment]
    return found


async def _faults(gateway: int, soak: Soak) -> None:
    """Kill a worker, or let it stand still, now and then; every third time none."""
    while time.monotonic() < soak.ends_s - _STILL_S:
        await asyncio.sleep(_FAULT_EVERY_S)
        told = await asyncio.to_thread(
            subprocess.run, ["pgrep", "-P", str(gateway)], capture_output=True, check=False
        )
        workers = [int(pid) for pid in told.stdout.split()]
        fault = soak.chance.choice(("killed", "stood still", ""))
        if not workers or not fault:
            continue
        worker = soak.chance.choice(workers)
        soak.saw[f"workers that were or {fault}".replace("were or killed", "were killed")] += 1
        try:
            os.kill(worker, signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
            if fault != "killed":
                await asyncio.sleep(_STILL_S)
                os.kill(worker, signal.SIGCONT)
        except ProcessLookupError:
            continue  # the gateway has ended it meanwhile


async def _until_idle(soak: Soak) -> Counter[str]:
    """Wait until nothing is left; return the figures, of which some are not 0 if that fails."""
    ends_s = time.monotonic() + _SETTLES_S
    while True:
        found = await soak.figures()
        busy = ("requests_in_flight", "requests_waiting", "outstanding_tokens")
        if not any(found[name] for name in busy) or time.monotonic() > ends_s:
            await asyncio.sleep(1)  # for what is asked of workers afterwards
            return await soak.figures()
        await asyncio.sleep(0.2)


async def _run(gateway: int, url: str, worker_url: str, seconds: float) -> list[str]:
    """Load the gateway, print the table; return what went wrong."""
    limits = httpx.Limits(max_connections=_CLIENTS + 8)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        chance = random.Random(1)  # noqa: S311 - the same load in every run, and no secret
        soak, sizes = Soak(http, time.monotonic() + seconds, chance), list[float]()
        tasks = [asyncio.create_task(soak.client()) for _ in range(_CLIENTS)]
        tasks.append(asyncio.create_task(_faults(gateway, soak)))
        print("seconds  RSS MiB  ended  in flight  restarts  breaks  continued  hedged  retried")
        for tenth in range(1, 11):
            await asyncio.sleep(seconds / 10)
            found = await soak.figures()
            sizes.append(rss_mib(gateway))
            print(
                f"{tenth * seconds / 10:7.0f}  {sizes[-1]:7.1f}  {_ended(found):5.0f}  "
                f"{found['requests_in_flight']:9.0f}  {found['engine_restarts']:8.0f}  "
                f"{found['stream_breaks']:6.0f}  {found['continuations']:9.0f}  "
                f"{found['hedges']:6.0f}  {found['retries']:7.0f}",
                flush=True,
            )
        await asyncio.gather(*tasks)
        found = await _until_idle(soak)
        async with httpx.AsyncClient(base_url=worker_url) as worker:
            theirs = _added(await worker.get("/metrics"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, commit {commit()}")
    print(f"clients saw: {dict(soak.saw)}")
    return _wrong(found, theirs, soak.saw, sizes)


def _ended(found: "Counter[str]") -> float:
    return sum(value for name, value in found.items() if name.startswith("requests "))


def _wrong(
    found: "Counter[str]", theirs: "Counter[str]", saw: "Counter[str]", sizes: list[float]
) -> list[str]:
    """Return, in words, what is not as it must be."""
    grown = median(sizes[7:]) - median(sizes[3:7])
    prompt = theirs["worker_prompt_tokens"] + theirs["worker_cached_tokens"]
    left = [name for name in ("requests_in_flight", "requests_waiting") if found[name]]
    left += ["outstanding_tokens"] * bool(found["outstanding_tokens"])
    checks = (
        (not left, f"{', '.join(left)} did not return to 0"),
        (grown <= _MAY_GROW_MIB, f"the gateway has grown by {grown:.1f} MiB"),
        (saw["whole"] <= found["requests ok"], "an answer that a client got is not counted"),
        (
            found["requests ok"] <= saw["whole"] + saw["hung up"] + found["continuations"],
            "more answers are counted than clients got or left",
        ),
        (
            found["far:completion_tokens"] == theirs["worker_completion_tokens"],
            f"of {theirs['worker_completion_tokens']:.0f} completion tokens the gateway counted "
            f"{found['far:completion_tokens']:.0f}, of which "
            f"{found['far:completion_tokens_estimated']:.0f} are an estimate",
        ),
        (
            found["far:prompt_tokens"] == prompt,
            f"of {prompt:.0f} prompt tokens the gateway counted {found['far:prompt_tokens']:.0f}",
        ),
    )
    return [why for holds, why in checks if not holds]


async def _between(
    listener: socket.socket, gateway: int, url: str, worker_url: str, seconds: float
) -> list[str]:
    port = int(worker_url.rpartition(":")[2])
    async with faulty_wire(listener, port, random.Random(2)):  # noqa: S311 - no secret
        return await _run(gateway, url, worker_url, seconds)


def _scene(seconds: float, folder: Path) -> list[str]:
    """Start a worker and a gateway that reaches it over the wire; return what went wrong."""
    python, file = sys.executable, folder / "routing.yaml"
    far = [python, "-P", "-m", "engines.llamacpp", "--weights", "demo:qwen"]
    call = "from gateway.cli import main; main()"
    serve = [python, "-c", call, "serve", "--config", str(file), "--no-watch"]
    listener = socket.create_server(("127.0.0.1", 0))
    wire = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    file.write_text(_FILE.format(url=wire), encoding="utf-8")
    with (
        (folder / "log").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            [*far, "--port", "0", "--threads", "1"], stdout=subprocess.PIPE, text=True
        ) as worker,
        subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=log, text=True) as gateway,
    ):
        try:
            worker_url, url = (_address(one) for one in (worker, gateway))
            return asyncio.run(_between(listener, gateway.pid, url, worker_url, seconds))
        finally:
            gateway.terminate()
            worker.terminate()


def _address(process: "subprocess.Popen[str]") -> str:
    """Return the root of where a process says that it listens."""
    words = (word for line in process.stdout or () for word in line.split())
    return next(word for word in words if word.startswith("http://")).removesuffix("/v1")


def main() -> None:
    """Run, say what was wrong; exit 1 where anything was."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=600, help="default: %(default)s")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = _scene(asked.seconds, Path(folder))
    print("\n".join(f"WRONG: {why}" for why in wrong) or "flat, exact, and nothing left")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
