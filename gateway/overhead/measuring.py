"""Measures direct against through: the processes, the order of runs, the figures.

Owns: which cells there are, what a run leaves, how figures are made of runs.
Must not: print.
"""

import asyncio
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

from engines.kinds import ReplicaAddress
from engines.kinds.remote import address_of
from engines.platform import seen_of
from gateway.overhead import fake_engine
from gateway.overhead.load import Target, Times, load

_PROC = Path("/proc")
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
_KEY = "WEIGHBRIDGE_BENCH_KEY"


class CannotMeasure(Exception):
    """What is needed does not start; the message says what, and what it said."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of the table."""

    stream: bool
    connections: int


@dataclass(frozen=True, slots=True)
class Engine:
    """A real engine to measure with: its base URL, as `/v1` ends, the model, the key."""

    url: str
    model: str
    key: str | None = None


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
            environ[_KEY] = engine.key
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


def cpu_s(pid: int) -> float | None:
    """Return the CPU seconds that a process has used, None where the system does not tell."""
    seen = seen_of(pid)
    return None if seen is None else seen.cpu_s


def rss_mib(pid: int) -> float | None:
    """Return the memory of a process that is in RAM, None where the system does not tell."""
    try:
        pages = int((_PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def machine(python: str | None = None) -> str:
    """Return one line about where this is measured; by a `python` that is not our own.

    Raises:
        CannotMeasure: it is none.
    """
    version = platform.python_version() if python is None else _version_of(python)
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()}, Python {version}"


def _version_of(python: str) -> str:
    argv = [python, "-c", "import platform; print(platform.python_version())"]
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotMeasure(f"{python} is no Python: {error}") from None


def processor() -> str:
    """Return what the processor is called, as far as the system tells."""
    cpu = platform.processor() or platform.machine()
    try:
        rows = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(row for row in rows if row.startswith("model name")).partition(": ")[2]
    except (OSError, StopIteration):
        pass
    return cpu


def commit() -> str | None:
    """Return the commit of a checkout, None where this is an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    asked = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


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
    key = f", api_key: ${{{_KEY}}}" if engine.key else ""
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
