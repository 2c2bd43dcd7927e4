"""`weighbridge bench overhead`: what the gateway adds, direct against through.

Owns: the options, and the layout of what is printed. Must not: measure (`gateway.overhead` does).
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict

import click
import msgspec

from gateway.overhead.load import LoadFailed
from gateway.overhead.machine import CannotMeasure, commit, machine
from gateway.overhead.measuring import CELLS, Cell, Measured, Side, measure
from gateway.overhead.starting import Engine
from gateway.relay.client import Unreachable
from gateway.relay.connection import ConnectionLost
from gateway.relay.watch import DeadlinePassed

_HEAD = (
    f"{'':<14}{'clients':>7}  {'':<8}{'req/s':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"
    f"{'first p50':>11}{'events/s':>10}{'CPU us/req':>12}{'/event':>8}"
)


@click.command(short_help="Measure what the gateway adds to a request, direct against through.")
@click.option("--seconds", type=click.FloatRange(0.05), default=2.0, show_default=True,
              help="Duration of each run of each cell.")  # fmt: skip
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True,
              help="Runs of each cell, direct and through alternating; medians count.")  # fmt: skip
@click.option("--connections", type=click.IntRange(1, 1_000), multiple=True,
              help="Concurrent clients; may be repeated; default: 1, 8, 32.")  # fmt: skip
@click.option("--auto", is_flag=True, help="Ask the gateway for `auto`: with weighing.")
@click.option("--characters", type=click.IntRange(20, 1_000_000), default=200, show_default=True,
              help="Length of each prompt; 2,000 distinct ones are sent.")  # fmt: skip
@click.option("--engine", "url", metavar="URL",
              help="A real engine's base URL (it ends in /v1); default: a fake one.")  # fmt: skip
@click.option("--model", help="The model to ask a real engine for.")
@click.option("--key", envvar="WEIGHBRIDGE_BENCH_KEY", show_envvar=True,
              help="The real engine's key.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def overhead(
    url: str | None,
    model: str | None,
    key: str | None,
    *,
    seconds: float,
    runs: int,
    connections: tuple[int, ...],
    auto: bool,
    characters: int,
    as_json: bool,
) -> None:
    """Measure what the gateway adds to a request: the same load direct and through it, alternating.

    Starts a gateway of its own and an engine that answers at once, or uses the one named by
    --engine. Whole answers and streams of 128 events are measured. CPU is that of the gateway's
    process, with metrics, accounting and headers, without the access log. Needs a quiet machine;
    sends thousands of requests to a real engine.
    """
    if (url is None) is not (model is None):
        raise click.UsageError("--engine and --model belong together.")
    engine = Engine(url, model, key) if url is not None and model is not None else None
    cells = CELLS
    if connections:
        cells = tuple(Cell(stream, count) for stream in (False, True) for count in connections)
    asked = "auto" if auto else "measured"
    found: list[Measured] = []
    try:
        if not as_json:
            click.echo(
                f"{machine()}, commit {commit() or '-'}, model asked for: {asked}, "
                f"prompts of {characters:,} characters\n{_HEAD}"
            )
        for measured in measure(
            cells, seconds=seconds, runs=runs, asked=asked, engine=engine, characters=characters
        ):
            found.append(measured)
            if not as_json:
                click.echo("\n".join(_lines(measured)))
    except Unreachable as error:
        click.echo(f"{url or 'the engine or the gateway'} cannot be reached: {error}", err=True)
        sys.exit(1)
    except (CannotMeasure, LoadFailed, ConnectionLost, DeadlinePassed) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    if as_json:
        told = {"machine": machine(), "commit": commit(), "asked": asked, "runs": runs}
        told["characters"] = characters
        cells_told = [asdict(measured) | {"ratio": _ratio(measured)} for measured in found]
        click.echo(msgspec.json.encode(told | {"seconds": seconds, "cells": cells_told}))


def _lines(measured: Measured) -> Iterator[str]:
    cell = measured.cell
    what = "stream" if cell.stream else "whole answer"
    yield f"{what:<14}{cell.connections:>7}  {'direct':<8}{_figures(measured.direct)}"
    memory = "" if measured.rss_mib is None else f"   RSS {measured.rss_mib:.0f} MiB"
    yield (
        f"{'':<14}{'':>7}  {'through':<8}{_figures(measured.through)}"
        f"   x{_ratio(measured):.2f}{memory}"
    )


def _figures(side: Side) -> str:
    return (
        f"{side.requests_per_s:>9,.0f}{side.p50_ms:>9.2f}{side.p95_ms:>9.2f}{side.p99_ms:>9.2f}"
        f"{_or_dash(side.first_p50_ms, 11, 2)}{_or_dash(side.events_per_s, 10, 0)}"
        f"{_or_dash(side.cpu_us, 12, 0)}{_or_dash(side.event_cpu_us, 8, 1)}"
    )


def _or_dash(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width},.{digits}f}"


def _ratio(measured: Measured) -> float:
    """Return how many times as long an answer takes through the gateway (p50)."""
    return measured.through.p50_ms / measured.direct.p50_ms
