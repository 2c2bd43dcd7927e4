"""Requests of every kind by chance on one llama.cpp worker: does it live, answer well, forget all?

    .venv/bin/python -m benchmarks.soak_worker --seconds 120 --seed 7 -- --cells 400 --context 256

What stands behind `--` goes to the worker. What it can do it is asked itself: texts, images,
vectors, ranks, adapters. Clients hang up at a moment of chance or behind some event, read slowly,
send half a body; between rounds all are gone. Run it with MALLOC_PERTURB_=165, and memory that is
used when it is free shows soon; PYTHONFAULTHANDLER=1 tells where a process fell. The same seed
draws the same requests, though not the same moments.

Nothing may fail that was not its own fault; what a worker counts must be what its requests were
told; between rounds nothing may run, wait or hold a cell; memory may not grow. Some questions are
put first, alone, and again and again: how likely their first token is must stay, but for rounding.

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
from dataclasses import dataclass, field
from statistics import median
from typing import IO

from benchmarks.chance_asks import Abilities, Ask, Asks
from benchmarks.chance_client import Answer, Client, Manner, get
from benchmarks.honest import figures_in, wrong_with
from benchmarks.soak import rss_mib

_CLIENTS = 12
# A worker remembers what its last 4,096 requests used: more must not come in a round.
_ROUND_S, _FEWEST_ROUNDS = 10, 6
_FLAT_BEYOND = 4  # rounds
_MAY_GROW_MIB = 8.0
_SETTLES_S = 20
_AGAIN = 0.08
_ROUNDING = 0.2
_PATIENCE_S = 90
_SHOWN = 600
_ENOUGH = 20
_AT_ONCE = 100


@dataclass
class Soak:
    """One run; what was asked, what was wrong."""

    port: int
    chance: random.Random
    asks: Asks
    alone: list[tuple[Ask, Answer]] = field(default_factory=list)
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
        while time.monotonic() < ends_s and len(self.wrong) < _ENOUGH:
            if self.alone and self.chance.random() < _AGAIN:
                await self._again(*self.chance.choice(self.alone))
            else:
                await self.once(self.asks.draw(), Manner.drawn(self.chance))

    async def _again(self, ask: Ask, alone: Answer) -> None:
        told = await self.once(ask)
        if told.status != 200:
            return
        self.others += told.text() != alone.text()
        if abs(told.first_logprob() - alone.first_logprob()) > _ROUNDING:
            self.wrong.append(
                f"another answer than alone\n  {alone.body[-_SHOWN:]!r}\n  {told.body[-_SHOWN:]!r}"
            )

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
        except (TimeoutError, ConnectionError, EOFError) as error:
            shown = f"{ask.path} {json.dumps(ask.body)[:_SHOWN]}"
            self.wrong.append(f"{type(error).__name__} instead of an answer\n  {shown}")
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
        while names:
            some, names = names[:_AT_ONCE], names[_AT_ONCE:]
            for told in await asyncio.gather(*(get(self.port, f"/uses/{name}") for name in some)):
                if told.status == 200:
                    tokens += told.json()["completion_tokens"]
                elif told.status != 404:  # of who went at once the worker may know nothing
                    self.wrong.append(f"/uses: {told}")
        return tokens


async def _able(port: int) -> Abilities:
    rows = (await get(port, "/v1/models")).json()["data"]
    names = {row["id"]: frozenset[str](row["capabilities"]) for row in rows}
    return Abilities(names, rows[0]["max_model_len"])


async def _run(worker: "subprocess.Popen[str]", port: int, asked: argparse.Namespace) -> list[str]:
    chance, able = random.Random(asked.seed), await _able(port)  # noqa: S311 - no secret
    soak = Soak(port, chance, Asks(chance, able))
    alone = [(ask, await soak.once(ask)) for ask in soak.asks.greedy()]
    soak.alone += [(ask, told) for ask, told in alone if told.status == 200]
    counted, sizes = 0, list[float]()
    rounds = asked.rounds or max(_FEWEST_ROUNDS, round(asked.seconds / _ROUND_S))
    print("  round  requests  RSS MiB  tokens  cached  preempted  drafted  other answers")
    for number in range(rounds):
        await soak.round(asked.seconds / rounds, asked.clients)
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
    return soak.wrong + _grown(sizes)


def _grown(sizes: list[float]) -> list[str]:
    """Say by how much memory has grown from the second third to the last, where that is known."""
    third = len(sizes) // 3
    if len(sizes) < _FLAT_BEYOND:
        return []
    grown = median(sizes[-third:]) - median(sizes[third:-third])
    return [f"the worker has grown by {grown:.1f} MiB"] if grown > _MAY_GROW_MIB else []


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


def options() -> argparse.ArgumentParser:
    """Return what reads the options."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=120, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--clients", type=int, default=_CLIENTS, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, help="default: one in 10 s, 6 at least")
    parser.add_argument("--weights", default="demo:qwen", help="default: %(default)s")
    parser.add_argument("options", nargs="*", help="what the worker is started with")
    return parser


def main() -> None:
    """Run, say what was wrong; exit 1 where anything was."""
    asked = options().parse_args()
    print(f"seed {asked.seed}: {asked.weights} {' '.join(asked.options)}", flush=True)
    wrong = soaked(asked)
    print(
        "\n".join(f"WRONG: {why}" for why in wrong[:_ENOUGH]) or "alive, honest, and nothing left"
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
