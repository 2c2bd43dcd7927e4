"""How fast our llama.cpp worker is beside llama-server and `llama_cpp.server`, in one run.

    .venv/bin/python -m benchmarks.peers     # once: builds what we compare with
    .venv/bin/python -m benchmarks.engine_speed --models FOLDER --quick
    .venv/bin/python -m benchmarks.engine_speed --models FOLDER --log FILE

Quick are 8 cells in three runs, about a quarter of an hour; all cells take hours, in five, and go
on from what FILE has.
Engines run with the same build, threads, slots and cells; in each cell they take turns, and the
figures are medians over the runs, with the lowest and the highest. Needs a quiet machine.

Owns: the cells, the order of runs, the table.
Must not: start engines (`contestants`) or time streams (`load`).
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, get_args

import httpx

from benchmarks.contestants import (
    LLAMA_CPP_PYTHON,
    LLAMA_SERVER,
    OURS,
    Contestant,
    running,
)
from benchmarks.load import Measured, closed_loop, intruded
from benchmarks.peers import places
from benchmarks.shapes import SHAPES, Shape, Writer, write
from engines.platform import usable_cores
from gateway.overhead.machine import commit, processor

_RUNS, _QUICK_RUNS = 5, 3
_SHORT, _LONG, _PREFIX = 41, 1_500, 1_000
_SPOKEN = 48
_AMONG, _AMONG_SPOKEN, _SETTLED = 8, 160, 24
# One request after the other: with more clients a run of it takes minutes and tells nothing new.
_MOST_OF_PYTHON = 8

Load = Literal["short", "long", "shared", "among"]
_LOADS: tuple[Load, ...] = get_args(Load)


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of the table.

    `short` prompts have 41 tokens, `long` ones 1,500, `shared` ones 1,000 in common and 41 of
    their own; `among`: a long prompt arrives among eight streams.
    """

    shape: Shape
    load: Load
    parallel: int
    caches: bool = True

    @property
    def name(self) -> str:
        """What the table calls it."""
        off = "" if self.caches else ", caches off"
        return f"{self.shape.name} {self.load} x{self.parallel}{off}"


def quick() -> list[Cell]:
    """Return the eight cells that tell most."""
    small, whole = Shape(SHAPES[0].words, "q4_0"), Shape(SHAPES[-1].words, "q4_0")
    cells = [Cell(small, "short", parallel) for parallel in (1, 4, 8, 16)]
    cells += [Cell(whole, "short", parallel) for parallel in (1, 16)]
    return [*cells, Cell(small, "shared", 16), Cell(small, "among", _AMONG)]


def full() -> list[Cell]:
    """Return every cell, those of one engine process beside each other."""
    found: list[Cell] = []
    for shape in SHAPES:
        for caches in (True, False):
            loads: tuple[Load, ...] = ("short", "long", "shared")
            found += [Cell(shape, load, n, caches) for load in loads for n in (1, 4, 8, 16)]
        found.append(Cell(shape, "among", _AMONG))
    return found


async def measure(cell: Cell, contestant: Contestant, run: int) -> Measured:
    """Load one engine once; every engine is sent the same texts, which no other cell has.

    Else a cell would find its prompts read by one before it, if an engine keeps them for so long.
    """
    own_seed = (run * 1_000 + cell.parallel) * len(_LOADS) + _LOADS.index(cell.load)
    writer = Writer(cell.shape.words, seed=own_seed)
    count = cell.parallel
    if cell.load == "among":
        prompts = [writer.text(_SHORT) for _ in range(count)]
        intruder = writer.text(_LONG)
        return await intruded(contestant.endpoint, prompts, _AMONG_SPOKEN, intruder, after=_SETTLED)
    rounds = 1 if cell.load == "long" else 2
    prefix = writer.text(_PREFIX) if cell.load == "shared" else ""
    own = _LONG if cell.load == "long" else _SHORT
    texts = [[prefix + writer.text(own) for _ in range(rounds)] for _ in range(count)]
    return await closed_loop(contestant.endpoint, texts, _SPOKEN)


@dataclass(frozen=True, slots=True)
class Result:
    """All runs of one engine in one cell.

    `own_share` is our scheduler's part of a step; `where` says on what and of which commit.
    """

    cell: str
    engine: str
    runs: list[Measured]
    own_share: float | None = None
    where: str = ""

    def middle(self, figure: str) -> float:
        """Return the median of a figure over the runs."""
        return float(median(getattr(run, figure) for run in self.runs))


def own_seconds(contestant: Contestant) -> dict[str, float]:
    """Return where our worker's time went so far, by part of a step."""
    text = httpx.get(f"http://127.0.0.1:{contestant.endpoint.port}/metrics").text
    rows = (line.rsplit(" ", 1) for line in text.splitlines())
    prefix = 'weighbridge_worker_step_seconds_total{part="'
    return {
        name.removeprefix(prefix).rstrip('"}'): float(value)
        for name, value in rows
        if name.startswith(prefix)
    }


def run_cell(
    cell: Cell, contestants: Sequence[Contestant], runs: int, where: str = ""
) -> list[Result]:
    """Let the engines take turns; the one that begins changes from run to run."""
    taking = [c for c in contestants if takes_part(c.name, cell)]
    found: dict[str, list[Measured]] = {contestant.name: [] for contestant in taking}
    ours = next((c for c in taking if c.name == OURS), None)
    before = own_seconds(ours) if ours else {}
    for run in range(runs):
        turn = run % len(taking)
        for contestant in (*taking[turn:], *taking[:turn]):
            found[contestant.name].append(asyncio.run(measure(cell, contestant, run)))
    share = None
    if ours:
        spent = {part: s - before[part] for part, s in own_seconds(ours).items()}
        share = 1 - spent["decode"] / sum(spent.values())
    return [
        Result(cell.name, name, measured, share if name == OURS else None, where)
        for name, measured in found.items()
    ]


def takes_part(name: str, cell: Cell) -> bool:
    """Say whether an engine is measured in a cell."""
    if name != LLAMA_CPP_PYTHON:
        return True
    return cell.load == "short" and cell.parallel in {1, _MOST_OF_PYTHON} and cell.caches


def grouped(cells: Sequence[Cell]) -> Iterator[tuple[Shape, bool, list[Cell]]]:
    """Yield cells by what the engines must be started with."""
    for key in dict.fromkeys((cell.shape, cell.caches) for cell in cells):
        yield (*key, [cell for cell in cells if (cell.shape, cell.caches) == key])


def head() -> str:
    """Return the table's first lines."""
    columns = "engine            tok/s (lowest-highest)   TTFT p50/p95 ms    ITL p95 ms   ratio"
    return f"{'cell':32}{columns}"


def lines(results: Sequence[Result]) -> Iterator[str]:
    """Yield the table's lines of one cell."""
    peer = next((r for r in results if r.engine == LLAMA_SERVER), None)
    for result in results:
        speeds = [run.tokens_per_s for run in result.runs]
        ratio = share = ""
        if result.engine == OURS and peer:
            ratio = f"{result.middle('tokens_per_s') / peer.middle('tokens_per_s'):.3f}"
        if result.own_share is not None:
            share = f"   own {100 * result.own_share:.1f}%"
        quiet = [r.quiet_itl_p95_s for r in result.runs if r.quiet_itl_p95_s is not None]
        calm = f" (quiet {1_000 * median(quiet):.0f})" if quiet else ""
        first, late, gap = (
            1_000 * result.middle(f"{figure}_s") for figure in ("ttft_p50", "ttft_p95", "itl_p95")
        )
        spread = f"{median(speeds):7.1f} ({min(speeds):.1f}-{max(speeds):.1f})"
        yield (
            f"{result.cell:32}{result.engine:18}{spread:24}{first:7.0f} /{late:6.0f}"
            f"{gap:11.1f}{calm}   {ratio}{share}"
        )


def summary(results: Sequence[Result]) -> str:
    """Return the geometric mean of our ratios to llama-server, and the lowest."""
    ratios: dict[str, float] = {}
    for ours in (r for r in results if r.engine == OURS):
        peers = [r for r in results if (r.cell, r.engine) == (ours.cell, LLAMA_SERVER)]
        for peer in peers:
            ratios[ours.cell] = ours.middle("tokens_per_s") / peer.middle("tokens_per_s")
    if not ratios:
        return "nothing to compare with: run benchmarks.peers"
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    worst = min(ratios, key=ratios.__getitem__)
    return f"geometric mean {mean:.3f} of llama-server; lowest {ratios[worst]:.3f} in {worst}"


def machine(threads: int) -> str:
    """Return one line about where and what this is."""
    where = f"{os.cpu_count()} cores, {threads} threads, {platform.system()}"
    return f"{processor()}, {where}, commit {commit()}"


def read_log(path: Path | None) -> list[Result]:
    """Return what an earlier run left."""
    if path is None or not path.exists():
        return []
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [_result(row) for row in rows]


def _result(row: dict[str, Any]) -> Result:
    return Result(**row | {"runs": [Measured(**run) for run in row["runs"]]})


def main() -> None:
    """Measure the cells and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="eight cells only")
    parser.add_argument("--only", default="", metavar="TEXT", help="cells whose name has this")
    runs = f"default: {_RUNS}, or {_QUICK_RUNS} with --quick"
    parser.add_argument("--runs", type=int, help=runs)
    parser.add_argument("--threads", type=int, default=usable_cores(), help="default: all cores")
    parser.add_argument("--models", type=Path, required=True, help="folder for the models (2 GB)")
    parser.add_argument("--log", type=Path, help="a JSON line a result; cells in it are not run")
    parser.add_argument("--table", action="store_true", help="print what FILE has; measure nothing")
    parser.add_argument("--alone", action="store_true", help="ours only, without peers")
    asked = parser.parse_args()
    asked.runs = asked.runs or (_QUICK_RUNS if asked.quick else _RUNS)
    asked.models.mkdir(parents=True, exist_ok=True)
    cells = [cell for cell in (quick() if asked.quick else full()) if asked.only in cell.name]
    results = read_log(asked.log)
    done = {result.cell for result in results}
    peers = places()
    names = [OURS]
    if not asked.alone:
        names += [LLAMA_SERVER] if peers.llama_server.exists() else []
        names += [LLAMA_CPP_PYTHON] if peers.python.exists() else []
    where = machine(asked.threads)
    print(where, head(), sep="\n", flush=True)
    for cell in cells:
        known = [result for result in results if result.cell == cell.name]
        print(*lines(known), sep="\n", end="\n" if known else "", flush=True)
    missing = [] if asked.table else [cell for cell in cells if cell.name not in done]
    for shape, caches, group in grouped(missing):
        weights = write(shape, asked.models / f"{shape.name}.gguf")
        with contextlib.ExitStack() as stack:
            wanted = [n for n in names if any(takes_part(n, cell) for cell in group)]
            contestants = [
                stack.enter_context(running(n, peers, weights, asked.threads, caches=caches))
                for n in wanted
            ]
            for contestant in contestants:
                asyncio.run(measure(Cell(shape, "short", 1), contestant, -1))
            for cell in group:
                found = run_cell(cell, contestants, asked.runs, where)
                results += found
                print(*lines(found), sep="\n", flush=True)
                if asked.log:
                    with asked.log.open("a", encoding="utf-8") as log:
                        log.writelines(json.dumps(asdict(r)) + "\n" for r in found)
    print(summary(results))


if __name__ == "__main__":
    main()
