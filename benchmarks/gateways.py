"""What a request costs in this gateway and in others, side by side, on this machine.

    python -m benchmarks.gateways            # installs the peers at the first run; then a minute
    python -m benchmarks.gateways --starts 5 # one start of a gateway differs from the next

All stand before the same engine, which answers at once, and get the same load in turns: whole
answers and streams of 128 events, over 32 connections, then one connection for what is added to an
answer's time. CPU is that of all processes of a gateway, over what was answered. Where load, engine
and gateway share two cores, requests a second say who gets in whose way: the CPU counts.

Owns: the runs, the table. Must not: know how a gateway is started.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from benchmarks.gateway_peers import PEERS, VLLM, can_run, processes_of, running
from engines.kinds import ReplicaAddress
from gateway.overhead import fake_engine
from gateway.overhead.load import Target, load
from gateway.overhead.machine import commit, cpu_s, machine, rss_mib
from gateway.overhead.starting import Engine, faked, serving

OURS, DIRECT = "weighbridge", "direct"
_CONNECTIONS = 32
_HEAD = "| | CPU us a request | CPU us an event | requests/s | added p50 ms | RSS MiB |"


@dataclass(frozen=True, slots=True)
class Side:
    """A gateway, or the engine itself (`pid` 0): whom to ask, for which model."""

    name: str
    pid: int
    target: Target


@dataclass(slots=True)
class Runs:
    """What the runs of one side gave."""

    request_us: list[float] = field(default_factory=list)
    event_us: list[float] = field(default_factory=list)
    requests_per_s: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)


def measure(sides: Sequence[Side], seconds: float, runs: int, found: dict[str, Runs]) -> None:
    """Load all sides in turns, each second turn in the opposite order; add to what was found."""
    for side in sides:
        asyncio.run(load(side.target, 4, 0.5, stream=False))
    for run in range(runs):
        for side in sides if run % 2 == 0 else reversed(sides):
            _one(side, found.setdefault(side.name, Runs()), seconds)
    for side in sides:
        memory = sum(rss_mib(one) or 0 for one in processes_of(side.pid)) if side.pid else 0.0
        found[side.name].rss_mib.append(memory)


def _one(side: Side, runs: Runs, seconds: float) -> None:
    before_s = _cpu_s(side.pid)
    whole = asyncio.run(load(side.target, _CONNECTIONS, seconds, stream=False))
    between_s = _cpu_s(side.pid)
    stream = asyncio.run(load(side.target, _CONNECTIONS, seconds, stream=True))
    after_s = _cpu_s(side.pid)
    alone = asyncio.run(load(side.target, 1, seconds / 2, stream=False))
    runs.request_us.append(1e6 * (between_s - before_s) / len(whole.whole_s))
    runs.event_us.append(1e6 * (after_s - between_s) / stream.events)
    runs.requests_per_s.append(len(whole.whole_s) / whole.took_s)
    runs.p50_ms.append(1e3 * median(alone.whole_s))


def _cpu_s(pid: int) -> float:
    return sum(cpu_s(one) or 0 for one in processes_of(pid)) if pid else 0.0


def _table(found: dict[str, Runs]) -> list[str]:
    direct_ms = median(found[DIRECT].p50_ms)
    lines = [_HEAD, "|---|---:|---:|---:|---:|---:|"]
    for name, runs in found.items():
        rate = median(runs.requests_per_s)
        if name == DIRECT:
            lines.append(
                f"| the engine itself | - | - | {rate:,.0f} | {direct_ms:.2f} in all | - |"
            )
            continue
        lines.append(
            f"| {name} | {median(runs.request_us):,.0f} | {median(runs.event_us):.1f} "
            f"| {rate:,.0f} | {median(runs.p50_ms) - direct_ms:.2f} "
            f"| {median(runs.rss_mib):.0f} |"
        )
    return lines


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run of each load")
    parser.add_argument("--runs", type=int, default=5, help="of each gateway; medians count")
    parser.add_argument("--starts", type=int, default=1, help="of all of them, with so many runs")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--python", default=sys.executable, help="what our gateway runs on")
    asked = parser.parse_args()
    where = f"{datetime.now(UTC):%d %B %Y}, {machine(asked.python)}, commit {commit() or '-'}"
    found: dict[str, Runs] = {}
    for _ in range(asked.starts):
        with ExitStack() as stack:
            sides = _started(stack, asked.peers, asked.python)
            measure(sides, asked.seconds, asked.runs, found)
    print(f"{where}:\n", *_table(found), sep="\n")
    if VLLM in found:
        ratio = median(found[OURS].request_us) / median(found[VLLM].request_us)
        print(f"\nA request here costs {ratio:.2f} of what it costs in {VLLM}.")


def _started(stack: ExitStack, peers: Sequence[str], python: str) -> list[Side]:
    port = stack.enter_context(faked())
    model = fake_engine.MODEL
    engine = Engine(f"http://127.0.0.1:{port}/v1", model)
    sides = [Side(DIRECT, 0, Target(ReplicaAddress("127.0.0.1", port), model))]
    pid, own_port = stack.enter_context(serving(engine, dict(os.environ), python))
    sides.append(Side(OURS, pid, Target(ReplicaAddress("127.0.0.1", own_port), "measured")))
    for name in peers:
        if can_run(name):
            peer = stack.enter_context(running(name, port))
            sides.append(Side(name, peer.pid, Target(peer.address, model)))
    return sides


if __name__ == "__main__":
    main()
