"""`weighbridge plan`: what the models of a file take of memory, and which of them fit together.

Owns: the table, its JSON, the hints and the exit code.
Must not: reckon (`engines.memory` does) or compare (`gateway.together` does).
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from engines.memory import RAM, MemoryNeed, gpu, in_words
from engines.memory.remembered import Remembered
from engines.platform import cache_folder, gpus, memory_bytes
from gateway.cli.config_source import find_config, names_config
from gateway.cli.models import aligned
from gateway.config.loading import LoadedConfig, load_config
from gateway.config.problems import ConfigError
from gateway.environment import EnvironmentProblem, read_environment
from gateway.needs import ModelNeed, needs_of
from gateway.placing import placed
from gateway.together import Company, company, fits

_COLUMNS = ("weights", "KV cache", "prefixes", "compute", "process")
_HEAD = ("model", "engine", *_COLUMNS, "total", "source")
_HOW = {"stated": "the file", "measured": "measured", "reckoned": "estimated"}
# What is given up in turn until it fits: room first, then precision, then what is served at once.
_STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("prefix_cache_mib: 0", {"prefix_cache_mib": 0}),
    ("kv_type: q8_0", {"kv_type": "q8_0"}),
    ("parallel: 4", {"parallel": 4}),
    ("context: 8192", {"context": 8_192}),
    ("parallel: 1", {"parallel": 1}),
    ("context: 4096", {"context": 4_096}),
    ("context: 2048", {"context": 2_048}),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """All that the command tells."""

    rows: tuple[ModelNeed, ...]
    budget: Mapping[str, int]
    stated: bool
    company: Company
    hints: tuple[str, ...]


@click.command(short_help="Show how much memory the models need, and which fit together.")
@names_config
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(config_option: str | None, *, as_json: bool) -> None:
    """Show how much memory each model takes when its caches are full, and which fit together.

    Nothing is loaded. Exits with 1 when a model can never fit, with 2 when the file cannot be used.
    """
    try:
        source = find_config(config_option, read_environment(os.environ), Path())
        config = load_config(source.path, os.environ)
    except (ConfigError, EnvironmentProblem) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    planned = planned_of(config, Remembered(cache_folder(os.environ)), memory_bytes())
    click.echo(msgspec.json.encode(_told(planned)) if as_json else "\n".join(_lines(planned)))
    sys.exit(1 if planned.company.too_large else 0)


def planned_of(config: LoadedConfig, remembered: Remembered, ram_bytes: int) -> Planned:
    """Return what a file's models take, beside its budget or else this machine's memory."""
    config = placed(config)
    stated = config.file.residency.budget
    budget = stated or {RAM: ram_bytes, **{gpu(one.index): one.total_bytes for one in gpus()}}
    rows = needs_of(config, remembered)
    found = company(_by_model(rows), budget)
    hints = () if found.all_fit else tuple(_hints(config, rows, found, budget))
    return Planned(rows, budget, bool(stated), found, hints)


def _by_model(rows: Sequence[ModelNeed]) -> dict[str, MemoryNeed]:
    found: dict[str, MemoryNeed] = {}
    for row in rows:
        if row.problem is None:
            before = found.get(row.model, MemoryNeed())
            found[row.model] = MemoryNeed((*before.parts, *row.need.parts))
    return found


def _hints(
    config: LoadedConfig, rows: Sequence[ModelNeed], found: Company, budget: Mapping[str, int]
) -> Iterator[str]:
    """Yield settings that would make it fit: those of each model alone, then of all together."""
    for name in found.too_large:
        given_up = _given_up(config, [name], budget)
        if given_up is None:
            yield f"'{name}' never fits: use a smaller quantisation, or a smaller model"
        else:
            yield f"'{name}' fits with {given_up}"
    if not found.too_large:
        given_up = _given_up(config, list(_by_model(rows)), budget)
        if given_up is None:
            yield "they do not all fit at once: idle ones make room for others (`load: demand`)"
        else:
            yield f"all of them fit at once with {given_up} on the engine"


def _given_up(config: LoadedConfig, names: Sequence[str], budget: Mapping[str, int]) -> str | None:
    """Return the fewest settings, in their order, with which these fit; None where none help."""
    changes: dict[str, Any] = {}
    told: dict[str, str] = {}
    for text, step in _STEPS:
        changes |= step
        told |= dict.fromkeys(step, text)
        needs = _by_model(needs_of(config, Remembered(None), changes))
        if fits([need for name, need in needs.items() if name in names], budget):
            return ", ".join(told.values())
    return None


def _lines(planned: Planned) -> Iterator[str]:
    lines = [_cells(row) for row in planned.rows if row.problem is None]
    if lines:
        yield aligned([_HEAD, *lines])
        yield ""
    for row in planned.rows:
        if row.problem is not None:
            yield f"{row.model} on {row.engine}: unknown: {row.problem}"
    limits = ", ".join(f"{in_words(size)} of {device}" for device, size in planned.budget.items())
    whose = "the budget, residency.memory" if planned.stated else "all that this machine has"
    yield f"Available: {limits} ({whose})."
    yield from _verdict(planned)


def _verdict(planned: Planned) -> Iterator[str]:
    found = planned.company
    unknown = sum(row.problem is not None for row in planned.rows)
    if found.all_fit and unknown < len(planned.rows):
        yield "All others fit at once." if unknown else "All models fit at once."
    for name in found.too_large:
        yield f"{name} can never fit."
    if not found.all_fit:
        for names in found.sets:
            yield f"These fit at once: {', '.join(names)}."
        for one, other in found.pairs:
            yield f"{one} and {other} exclude each other."
    for hint in planned.hints:
        yield f"hint: {hint}"


def _cells(row: ModelNeed) -> tuple[str, ...]:
    need = row.need
    name = row.model if row.replicas == 1 else f"{row.model} x {row.replicas}"
    parts = ("weights", "kv_cache", "prefixes", "compute", "process")
    sizes = [need.of(part) for part in parts]  # type: ignore[arg-type]
    sizes[0] += need.of("adapters")
    totals = " + ".join(
        f"{in_words(size)}{'' if device == RAM else f' {device}'}"
        for device, size in sorted(need.by_device.items(), key=lambda one: (one[0] != RAM, one))
    )
    return (name, row.engine, *map(in_words, sizes), totals, _HOW[row.how])


def _told(planned: Planned) -> dict[str, Any]:
    found = planned.company
    return {
        "budget_bytes": dict(planned.budget),
        "budget_is_stated": planned.stated,
        "models": [_row(row) for row in planned.rows],
        "all_fit": found.all_fit,
        "never_fit": list(found.too_large),
        "fit_at_once": [list(names) for names in found.sets],
        "exclude_each_other": [list(pair) for pair in found.pairs],
        "hints": list(planned.hints),
    }


def _row(row: ModelNeed) -> dict[str, Any]:
    need = row.need
    return {
        "model": row.model,
        "engine": row.engine,
        "replicas": row.replicas,
        "known_by": row.how,
        "problem": row.problem,
        "total_bytes": need.total_bytes,
        "device_bytes": dict(need.by_device),
        "gpus": row.gpus,
        "file_backed_bytes": need.file_backed(),
        "anonymous_bytes": need.anonymous(),
        "parts": [
            {
                "name": part.name,
                "device": part.device,
                "bytes": part.size_bytes,
                "file_backed": part.file_backed,
            }
            for part in need.parts
        ],
    }
