"""Measures direct against through: the order of runs, the figures.

Owns: which cells there are, what a run leaves, how figures are made of runs.
Must not: print.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from engines.kinds import ReplicaAddress
from engines.kinds.remote import address_of
from gateway.overhead import fake_engine
from gateway.overhead.load import Target, Times, load
from gateway.overhead.machine import cpu_s, rss_mib
from gateway.overhead.starting import KEY, Engine, faked, serving


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of the table."""

    stream: bool
    connections: int


@dataclass(frozen=True, slots=True)
class Side:
    """One way of asking in one cell: medians over the runs. Latencies are of whole answers.

    `first_ms` is the time to the first event of a stream, `gap_us` the time between two events.
    `cpu_us` is what the gateway's process used for each request, `event_cpu_us` for each event;
    None where the system does not tell, or it was not asked.
    """

    requests_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    first_p50_ms: float | None = None
    first_p99_ms: float | None = None
    events_per_s: float | None = None
    cpu_us: float | None = None
    event_cpu_us: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a cell gave. `rss_mib`: of the gateway's process, after it."""

    cell: Cell
    direct: Side
    through: Side
    rss_mib: float | None


CELLS = tuple(Cell(stream, count) for stream in (False, True) for count in (1, 8, 32))


def measure(
    cells: Sequence[Cell],
    *,
    seconds: float,
    runs: int,
    asked: str,
    engine: Engine | None = None,
    characters: int = 200,
) -> Iterator[Measured]:
    """Yield each cell's figures; `asked` is the model that the gateway is asked for.

    The prompts are distinct, each of so many characters.

    Raises:
        CannotMeasure: an engine or the gateway does not start.
        LoadFailed, Unreachable, ConnectionLost, DeadlinePassed: an answer failed.
    """
    with ExitStack() as stack:
        if engine is None:
            engine = Engine(
                f"http://127.0.0.1:{stack.enter_context(faked())}/v1", fake_engine.MODEL
            )
        environ = dict(os.environ)
        if engine.key:
            environ[KEY] = engine.key
        direct = Target(address_of(engine.url, engine.key), engine.model, characters)
        pid, port = stack.enter_context(serving(engine, environ))
        through = Target(ReplicaAddress("127.0.0.1", port), asked, characters)
        for target in (direct, through):  # connections, imports, first allocations
            asyncio.run(load(target, 2, 0.3, stream=False))
        for cell in cells:
            yield _measure(cell, direct, through, pid, seconds=seconds, runs=runs)


def _measure(
    cell: Cell, direct: Target, through: Target, pid: int, *, seconds: float, runs: int
) -> Measured:
    sides: dict[str, list[Side]] = {"direct": [], "through": []}
    for run in range(runs):
        names = ("direct", "through") if run % 2 == 0 else ("through", "direct")
        for name in names:
            before_s = cpu_s(pid)
            target = direct if name == "direct" else through
            times = asyncio.run(load(target, cell.connections, seconds, stream=cell.stream))
            after_s = cpu_s(pid)
            used_s = None if before_s is None or after_s is None else after_s - before_s
            sides[name].append(_side(times, None if name == "direct" else used_s))
    both = {name: _middle(found) for name, found in sides.items()}
    return Measured(cell, both["direct"], both["through"], rss_mib(pid))


def _side(times: Times, used_s: float | None) -> Side:
    whole = sorted(times.whole_s)
    first = sorted(times.first_s)
    each = None if used_s is None else 1e6 * used_s
    return Side(
        requests_per_s=len(whole) / times.took_s,
        p50_ms=1e3 * _at(whole, 50),
        p95_ms=1e3 * _at(whole, 95),
        p99_ms=1e3 * _at(whole, 99),
        first_p50_ms=1e3 * _at(first, 50) if first else None,
        first_p99_ms=1e3 * _at(first, 99) if first else None,
        events_per_s=times.events / times.took_s if first else None,
        cpu_us=None if each is None else each / len(whole),
        event_cpu_us=None if each is None or not first else each / times.events,
    )


def _middle(sides: Sequence[Side]) -> Side:
    """Return the median of each figure; a run has all of them, or none has."""

    def of(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return median(known) if known else None

    return Side(
        requests_per_s=median(side.requests_per_s for side in sides),
        p50_ms=median(side.p50_ms for side in sides),
        p95_ms=median(side.p95_ms for side in sides),
        p99_ms=median(side.p99_ms for side in sides),
        first_p50_ms=of(side.first_p50_ms for side in sides),
        first_p99_ms=of(side.first_p99_ms for side in sides),
        events_per_s=of(side.events_per_s for side in sides),
        cpu_us=of(side.cpu_us for side in sides),
        event_cpu_us=of(side.event_cpu_us for side in sides),
    )


def _at(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
