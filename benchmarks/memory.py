"""Holds what a worker takes against what was reckoned from its file, on models of real sizes.

    .venv/bin/python -m benchmarks.memory --out FOLDER 0.5b-q4_0 7b-q8_0 ...

Each worker reads prompts until its cells are full and as much is kept of ended requests as may be,
and answers one in JSON: then everything that it will ever take is taken. A second estimate goes by
what was measured right after the load, as the gateway does from then on.

Owns: the run and its table. Must not: reckon; `engines.memory` does.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.sizes import write
from engines.kinds import LlamacppEngine, ModelOrder
from engines.memory import MemoryNeed, MemoryUse, use_of
from engines.memory.remembered import Seen, corrected

_MIB = 1 << 20
_ANSWER = 8


@contextmanager
def _worker(weights: Path, options: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Run a worker; give its process id and its address."""
    argv = [sys.executable, "-P", "-m", "engines.llamacpp", "--port=0", "--exit-with-stdin"]
    argv += [f"--weights={weights}", *options]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield process.pid, process.stdout.readline().rpartition(" ")[2].strip()
        finally:
            process.terminate()


def _use(pid: int) -> MemoryUse:
    found = use_of(pid)
    if found is None:
        raise SystemExit("the worker has ended")
    return found


def _fill(url: str, context: int, rounds: int) -> None:
    with httpx.Client(base_url=url, timeout=600) as http:
        for turn in range(rounds):
            prompt = [(turn + place) % 20_000 + 300 for place in range(context - 2 * _ANSWER)]
            asked = {"prompt": prompt, "max_tokens": _ANSWER, "ignore_eos": True}
            http.post("/v1/completions", json=asked).raise_for_status()
        held = {"prompt": "a", "max_tokens": 1, "response_format": {"type": "json_object"}}
        http.post("/v1/completions", json=held).raise_for_status()


def _measure(name: str, folder: Path, context: int, kept_mib: int) -> str:
    weights = write(name, folder / f"{name}.gguf")
    engine = LlamacppEngine(kind="llamacpp", context=context, parallel=1, prefix_cache_mib=kept_mib)
    need = engine.need(ModelOrder(name, "cpu", folder, weights=weights.name))
    options = [f"--context={context}", "--parallel=1", f"--prefix-cache-mib={kept_mib}"]
    with _worker(weights, options) as (pid, url):
        loaded = _use(pid)
        _fill(url, context, rounds=3 if kept_mib else 1)
        full = _use(pid)
    return _row(name, need, corrected(need, Seen.loaded(loaded)), full)


def _row(name: str, first: MemoryNeed, second: MemoryNeed, full: MemoryUse) -> str:
    def off(need: MemoryNeed) -> str:
        return f"{need.total_bytes / full.total_bytes - 1:+.1%}"

    sizes = [
        first.of("weights"),
        first.of("kv_cache") + first.of("prefixes"),
        first.of("compute"),
        first.of("process"),
        first.total_bytes,
        full.file_backed_bytes,
        full.anonymous_bytes,
        full.total_bytes,
    ]
    numbers = " | ".join(f"{size / _MIB:,.0f}" for size in sizes)
    return f"| {name} | {numbers} | {off(first)} | {off(second)} |"


def main() -> None:
    """Measure those that are named, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, help="the folder for the models")
    parser.add_argument("--context", type=int, default=2_048)
    parser.add_argument("--kept-mib", type=int, default=512)
    parser.add_argument("name", nargs="+", help="0.5b, 1.5b, 7b or moe, with -q4_0 or -q8_0")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    print(
        "| model | weights | KV and prefix cache | compute buffers | process | **estimated** | "
        "file-backed | anonymous | **measured** | first estimate | after one load |"
    )
    print("|" + "---|" * 11)
    for name in asked.name:
        print(_measure(name, asked.out, asked.context, asked.kept_mib), flush=True)


if __name__ == "__main__":
    main()
