"""Requests of every kind by chance on one llama.cpp worker: does it live, answer well, forget all?

    .venv/bin/python -m benchmarks.soak_worker --seconds 120 --seed 7 -- --cells 400 --context 256

What stands behind `--` goes to the worker. What it can do it is asked itself: texts, images,
vectors, ranks, adapters. Clients hang up at a moment of chance or behind some event, read slowly,
send half a body; between rounds all are gone. Run it with MALLOC_PERTURB_=165, and memory that is
used when it is free shows soon; PYTHONFAULTHANDLER=1 tells where a process fell. The same seed
draws the same requests, though not the same moments.

Nothing may fail that was not its own fault; what a worker counts must be what its requests were
told; between rounds nothing may run, wait or hold a cell; a question put anew now and then must
have the answer that it had alone, as far as it was taught one; memory may not grow.

Owns: the load, what must hold, the table. Must not: reach beyond loopback or run without an end.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import IO

from benchmarks.chance_asks import CHAT, Abilities, Ask, Asks
from benchmarks.chance_client import Answer, Client, Manner, get
from benchmarks.honest import figures_in, wrong_with
from benchmarks.soak import rss_mib

_CLIENTS = 12
_ROUNDS = 6
_MAY_GROW_MIB = 8.0
_SETTLES_S = 20
_TAUGHT = ("Hello", "What is Weighbridge?")
_PATIENCE_S = 90
_SHOWN = 600


@dataclass
class Soak:
    """One run; what was asked, what was wrong."""

    port: int
    chance: random.Random
    asks: Asks
    alone: dict[str, bytes] = field(default_factory=dict)
    saw: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sent: int = 0
    others: int = 0

    async def round(self, seconds: float, clients: int) -> None:
        """Let so many clients ask for as long."""
        ends_s = time.monotonic() + seconds
        await asyncio.gather(*(self._client(ends_s) for _ in range(clients)))

    async def _client(self, ends_s: float) -> None:
        while time.monotonic() < ends_s:
            taught = self.chance.random() < 0.06 and bool(self.alone)
            if taught:
                text = self.chance.choice(list(self.alone))
                told = await self.once(_taught(text))
                self.others += told.text() != self.alone[text].decode()
            else:
                await self.once(self.asks.draw(), Manner.drawn(self.chance))

    async def once(self, ask: Ask, manner: Manner | None = None) -> Answer:
        """Send a request; note what came of it."""
        self.sent += 1
        name = f"soak-{self.sent}"
        if ask.path.startswith("/v1/c"):
            self.names.append(name)
        client = Client(self.port, name, manner or Manner())
        try:
            async with asyncio.timeout(_PATIENCE_S):
                told = await client.send(ask)
        except TimeoutError:
            self.wrong.append(f"no answer within {_PATIENCE_S} s to {ask}")
            return Answer(0, b"", whole=False)
        self.saw[told.outcome] += 1
        self.wrong += [
            f"{why}\n  {ask.path} {json.dumps(ask.body)[:_SHOWN]}\n  {told.body[-_SHOWN:]!r}"
            for why in wrong_with(ask, told)
        ]
        return told

    async def settled(self) -> Mapping[str, float]:
        """Return the worker's figures once nothing runs, or when that has taken too long."""
        ends_s = time.monotonic() + _SETTLES_S
        while True:
            found = figures_in((await get(self.port, "/metrics")).body)
            held = ("requests_running", "requests_waiting", "kv_used_ratio")
            left = [name for name in held if found[name]]
            if not left:
                return found
            if time.monotonic() > ends_s:
                self.wrong.append(f"{', '.join(left)} did not return to 0")
                return found
            await asyncio.sleep(0.05)

    async def counted(self) -> int:
        """Return how many tokens all requests since the last call were told of by `/uses`."""
        names, self.names = self.names, []
        tokens = 0
        for name in names:
            told = await get(self.port, f"/uses/{name}")
            if told.status == 200:
                tokens += told.json()["completion_tokens"]
            elif told.status != 404:  # of half a body the worker knows nothing
                self.wrong.append(f"/uses/{name}: {told}")
        return tokens


def _taught(text: str) -> Ask:
    turns = [{"role": "user", "content": text}]
    return Ask(CHAT, {"messages": turns, "temperature": 0, "max_tokens": 24})


async def _able(port: int) -> Abilities:
    rows = (await get(port, "/v1/models")).json()["data"]
    names = {row["id"]: frozenset[str](row["capabilities"]) for row in rows}
    return Abilities(names, rows[0]["max_model_len"])


async def _run(worker: "subprocess.Popen[str]", port: int, asked: argparse.Namespace) -> list[str]:
    chance, able = random.Random(asked.seed), await _able(port)  # noqa: S311 - no secret
    soak = Soak(port, chance, Asks(chance, able))
    if any("generation" in abilities for abilities in able.names.values()):
        for text in _TAUGHT:
            soak.alone[text] = (await soak.once(_taught(text))).text().encode()
    counted, sizes = await soak.counted(), list[float]()
    print("  round  requests  RSS MiB  tokens  cached  preempted  drafted  other answers")
    for number in range(_ROUNDS):
        with suppress(ConnectionError, EOFError):
            await soak.round(asked.seconds / _ROUNDS, asked.clients)
        if worker.poll() is not None:
            return [*soak.wrong, f"the worker ended with {worker.returncode}"]
        found = await soak.settled()
        counted += await soak.counted()
        sizes.append(rss_mib(worker.pid))
        print(
            f"{number:7}  {soak.saw.total():8}  {sizes[-1]:7.1f}  "
            f"{found['completion_tokens_total']:6.0f}  {found['cached_tokens_total']:6.0f}  "
            f"{found['preemptions_total']:9.0f}  {found['drafted_tokens_total']:7.0f}  "
            f"{soak.others:13}",
            flush=True,
        )
        if counted != found["completion_tokens_total"]:
            soak.wrong.append(
                f"{counted} tokens were told of, {found['completion_tokens_total']:.0f} counted"
            )
    print(f"clients saw: {dict(soak.saw)}")
    grown = median(sizes[_ROUNDS - 2 :]) - median(sizes[_ROUNDS // 2 - 1 : _ROUNDS - 2])
    if grown > _MAY_GROW_MIB:
        soak.wrong.append(f"the worker has grown by {grown:.1f} MiB")
    return soak.wrong


def _ended(worker: "subprocess.Popen[str]", log: IO[str], begun: int) -> list[str]:
    """End a worker; return what is not as it must be with its end, or in its log since then."""
    worker.send_signal(signal.SIGTERM)
    try:
        code = worker.wait(60)
    except subprocess.TimeoutExpired:
        worker.kill()
        return ["the worker did not end within a minute"]
    log.seek(begun)
    said = log.read()
    wrong = [] if code == 0 else [f"the worker ended with {code}"]
    return wrong + ([f"the worker said: {said[-2_000:]}"] if said.strip() else [])


def soaked(asked: argparse.Namespace) -> list[str]:
    """Start a worker, load it, end it; return what was wrong, in words."""
    argv = [sys.executable, "-P", "-m", "engines.llamacpp", "--weights", asked.weights]
    argv += ["--port", "0", "--threads", "1", *asked.options]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as log,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True) as worker,
    ):
        try:
            said = worker.stdout.readline() if worker.stdout else ""
            port = int(said.rpartition(":")[2] or 0)
            begun = log.seek(0, os.SEEK_END) if port else 0  # what it says as it loads is no fault
            wrong = asyncio.run(_run(worker, port, asked)) if port else ["it does not listen"]
            return wrong + _ended(worker, log, begun)
        finally:
            worker.kill()


def main() -> None:
    """Run, say what was wrong; exit 1 where anything was."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=120, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--clients", type=int, default=_CLIENTS, help="default: %(default)s")
    parser.add_argument("--weights", default="demo:qwen", help="default: %(default)s")
    parser.add_argument("options", nargs="*", help="what the worker is started with")
    asked = parser.parse_args()
    print(f"seed {asked.seed}: {asked.weights} {' '.join(asked.options)}", flush=True)
    wrong = soaked(asked)
    print("\n".join(f"WRONG: {why}" for why in wrong[:20]) or "alive, honest, and nothing left")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
