"""`weighbridge route calibrate LOG`: from which difficulty on a stronger model is worth its cost.

Owns: the log's lines with their verdicts, the options, and how the curve is told.
Must not: reckon (`difficulty_curve` does), or send anything.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import click
import msgspec

from engines.protocol.errors import ApiError
from engines.protocol.unreadable import UNREADABLE
from gateway.classify import Weigher
from gateway.cli.config_source import find_config
from gateway.cli.difficulty_curve import (
    Judged,
    Point,
    at_share,
    cheapest,
    curve,
    recovered,
    shown,
    uncertainty,
)
from gateway.cli.json_lines import LINES_FILE, read_lines
from gateway.config.loading import LoadedConfig, load_config
from gateway.config.names import all_aliases
from gateway.config.problems import ConfigError
from gateway.config.vocabulary import near
from gateway.environment import EnvironmentProblem, read_environment
from gateway.explanation import read_request
from gateway.known import gather_facts

_CHANCE = 0.5
_FEWEST = 30  # below, a curve says nothing
_DEFAULT_RATIO = 10.0

Grade: TypeAlias = bool | Annotated[float, msgspec.Meta(ge=0, le=1)]


class Verdicts(msgspec.Struct, frozen=True):
    """What a line says of the answers: of the weaker model's, or of each model's by its name."""

    verdict: Grade | None = None
    verdicts: dict[str, Grade] | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The threshold with what comes of it, the worth of difficulty on this log, and the curve."""

    requests: int
    threshold: float
    share: float
    quality: float
    cost: float
    apgr: float | None
    apgr_error: float
    better_than_chance: bool
    curve: tuple[Point, ...]


_VERDICTS = msgspec.json.Decoder(Verdicts)


class LogProblem(Exception):
    """A line of the log cannot be used; the message says which and why."""


@click.command(short_help="Find the difficulty from which a stronger model is worth its cost.")
@click.argument("log", type=LINES_FILE)
@click.option(
    "--config",
    "config_option",
    metavar="FILE",
    help="The routing file; default: WEIGHBRIDGE_CONFIG, ./routing.yaml, the packaged demo.",
)
@click.option("--weak", metavar="MODEL", help="The weaker model, as named in `verdicts`.")
@click.option(
    "--strong",
    metavar="MODEL",
    help="The stronger one; without verdicts it counts as always right.",
)
@click.option(
    "--cost-ratio",
    type=click.FloatRange(min=1, min_open=True),
    help="What a request to the stronger model costs, in requests to the weaker; default: the "
    "ratio of their active parameters, else 10.",
)
@click.option(
    "--share", type=click.FloatRange(0, 1), help="The largest share of requests to send to it."
)
@click.option(
    "--keep",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="How much of the stronger model's gain in quality to keep, unless --share is given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def calibrate(
    log: Path,
    *,
    config_option: str | None,
    weak: str | None,
    strong: str | None,
    cost_ratio: float | None,
    share: float | None,
    keep: float,
    as_json: bool,
) -> None:
    """Find the difficulty from which requests should go to a stronger model, on your own log.

    LOG (- is standard input) has one JSON object per line: a whole request body, or `text` with
    its `history`; and `verdict`, whether the weaker model's answer was good (true, false, or 0 to
    1), or `verdicts` by the names of --weak and --strong. Prints quality and cost for each share
    of requests that goes to the stronger model, and the rule.
    """
    try:
        source = find_config(config_option, read_environment(os.environ), Path())
        config = load_config(source.path, os.environ)
        rows = list(_judged(log, config, weak, strong))
        if len(rows) < _FEWEST:
            raise LogProblem(f"{len(rows)} requests with a verdict are too few; {_FEWEST} at least")
    except (ConfigError, EnvironmentProblem, LogProblem) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    for told in _strangers(config, weak, strong):
        click.echo(f"{source.path.name} {told}", err=True)
    points = curve(rows, cost_ratio or _ratio_of(config, weak, strong))
    chosen = at_share(points, share) if share is not None else _keeping(points, keep)
    found = _found(rows, points, chosen)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        click.echo("\n".join(_table(found, strong or "STRONG", weak or "WEAK")))


def _judged(
    log: Path, config: LoadedConfig, weak: str | None, strong: str | None
) -> Iterator[Judged]:
    """Yield the requests that have a verdict.

    Raises:
        LogProblem: a line is no request, or its verdict none.
    """
    weigher = Weigher(config.file.sizes, config.file.languages, tasks=config.file.tasks)
    for number, line in enumerate(read_lines(log), start=1):
        if not line.strip():
            continue
        try:
            grades = _grades(_VERDICTS.decode(line), weak, strong)
            if grades is not None:
                weighed = weigher.weigh(read_request(line)[1])
                yield Judged(weighed.difficulty, *grades)
        except UNREADABLE as error:
            raise LogProblem(f"{log.name}: line {number}: {error}") from None
        except ApiError as error:
            raise LogProblem(f"{log.name}: line {number}: {error.message}") from None


def _grades(given: Verdicts, weak: str | None, strong: str | None) -> tuple[float, float] | None:
    """Return how good both answers were, None where nobody judged the weaker model's."""
    by_name = given.verdicts or {}
    of_weak = by_name.get(weak or "", given.verdict)
    if of_weak is None:
        return None
    of_strong = by_name.get(strong or "", True)
    return float(of_weak), float(of_strong)


def _strangers(config: LoadedConfig, *names: str | None) -> Iterator[str]:
    """Yield what to say of names that the file does not serve: the rule would be refused."""
    known = [*config.file.models, *all_aliases(config.file)]
    for name in names:
        if name is not None and name not in known:
            yield f"serves no '{name}'{near(name, known)}"


def _ratio_of(config: LoadedConfig, weak: str | None, strong: str | None) -> float:
    facts = gather_facts(config)
    counts = [
        facts[name].active_parameters or facts[name].parameters
        for name in (weak, strong)
        if name in facts
    ]
    known = [count for count in counts if count]
    return max(1.01, known[1] / known[0]) if len(known) == 2 else _DEFAULT_RATIO


def _keeping(points: Sequence[Point], keep: float) -> Point:
    first, last = points[0].quality, points[-1].quality
    return cheapest(points, lambda point: point.quality >= first + keep * (last - first) - 1e-9)


def _found(rows: Sequence[Judged], points: Sequence[Point], chosen: Point) -> Found:
    worth, error = recovered(points), uncertainty(rows)
    return Found(
        requests=len(rows),
        threshold=chosen.threshold,
        share=chosen.share,
        quality=chosen.quality,
        cost=chosen.cost,
        apgr=worth,
        apgr_error=error,
        better_than_chance=worth is not None and worth - error > _CHANCE,
        curve=tuple(points),
    )


def _table(found: Found, strong: str, weak: str) -> Iterator[str]:
    yield f"{found.requests:,} requests with a verdict"
    yield "\n  difficulty   to the stronger   quality   by chance   cost"
    for point in shown(found.curve):
        from_ = "none" if not point.share else f"{point.threshold:.2f}"
        yield (
            f"  {from_:>10}   {point.share:>15.0%}   {point.quality:>7.3f}   "
            f"{point.by_chance:>9.3f}   {point.cost:>4.0%}"
        )
    yield f"\n{_worth(found)}"
    if not found.share:
        yield "No request has to go to the stronger model."
        return
    yield (
        f"\nFrom {found.threshold:.2f} on: {found.share:.0%} of the requests, quality "
        f"{found.quality:.3f}, {found.cost:.0%} of the cost of the stronger model alone:"
    )
    when = f"{{difficulty: {{min: {found.threshold:.2f}}}}}"
    yield f"  - {{name: hard, when: {when}, use: [{strong}, {weak}]}}"


def _worth(found: Found) -> str:
    if found.apgr is None:
        return "Both models are equally good here: there is nothing to gain."
    told = f"APGR {found.apgr:.2f} +- {found.apgr_error:.2f} (chance has 0.50)"
    if found.better_than_chance:
        return f"{told}: difficulty tells them apart better than chance."
    return (
        f"{told}: on this log difficulty is no better than chance. Judge more requests, or send "
        "them by task, language or size instead."
    )
