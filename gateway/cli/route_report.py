"""`weighbridge route report`: what rules would move of what `mode: observe` has seen.

Owns: the figures by rule, and how they are told.
Must not: weigh or choose: what was decided then is reported.
"""

import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from gateway.cli.config_source import find_config
from gateway.config.loading import load_config
from gateway.config.problems import ConfigError
from gateway.environment import EnvironmentProblem, read_environment
from gateway.observe.journal import Observed, before, read_journal

_NOBODY = "nobody"


class Latency(msgspec.Struct, frozen=True):
    """Seconds from arrival to the answer's end, and to its first token where it was streamed."""

    p50_s: float
    p95_s: float
    first_token_p50_s: float | None


class Group(msgspec.Struct, frozen=True, rename={"source": "from", "target": "to"}):
    """Requests of one rule that went to one model, and whom the rule would have asked.

    `share` is of all requests. `there` is how the other model has answered what it was asked in
    the same time, None where it was asked nothing.
    """

    source: str
    target: str
    requests: int
    share: float
    prompt_tokens: int
    completion_tokens: int
    here: Latency
    there: Latency | None

    @property
    def moves(self) -> bool:
        """Whether the rule would send them elsewhere."""
        return self.source != self.target


class RuleReport(msgspec.Struct, frozen=True):
    """One rule: how many requests it would decide, and how many of them it would move."""

    rule: str
    requests: int
    share: float
    moved: int
    groups: tuple[Group, ...]


class Report(msgspec.Struct, frozen=True):
    """All that was observed, by rule."""

    requests: int
    moved: int
    first_at_s: float | None
    last_at_s: float | None
    rules: tuple[RuleReport, ...]


def report_of(observed: Iterable[Observed]) -> Report:
    """Return the figures; the rules with most requests first."""
    rows = list(observed)
    served: dict[str, list[Observed]] = defaultdict(list)
    by_rule: dict[str, list[Observed]] = defaultdict(list)
    for row in rows:
        served[row.model].append(row)
        by_rule[row.rule or _NOBODY].append(row)
    latencies = {model: _latency(of_it) for model, of_it in served.items()}
    rules = [_rule(rule, of_it, len(rows), latencies) for rule, of_it in by_rule.items()]
    times = [row.at_s for row in rows]
    return Report(
        requests=len(rows),
        moved=sum(rule.moved for rule in rules),
        first_at_s=min(times, default=None),
        last_at_s=max(times, default=None),
        rules=tuple(sorted(rules, key=lambda rule: -rule.requests)),
    )


@click.command(
    short_help="Show which of the requests seen by `mode: observe` the rules would move."
)
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--config",
    "config_option",
    metavar="FILE",
    help="The routing file that says where the observations are, if no FILE is given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def report(file: Path | None, config_option: str | None, *, as_json: bool) -> None:
    """Show, by rule, which requests to named models `auto` would have sent elsewhere.

    FILE is what a gateway with `mode: observe` has written.
    """
    try:
        path = file or _observed_by(config_option)
    except (ConfigError, EnvironmentProblem) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    try:
        found = report_of(read_journal((before(path), path)))
    except OSError as error:  # the gateway's user may be another one's
        click.echo(f"{error.filename or path} cannot be read: {error.strerror}", err=True)
        sys.exit(1)
    if not found.requests and not path.is_file():
        click.echo(
            f"There is no {path}. A gateway writes it with `mode: observe` in its routing file.",
            err=True,
        )
        sys.exit(1)
    if not found.requests and path.is_file() and path.stat().st_size:
        click.echo(
            f"No line of {path} is an observation. A gateway with `mode: observe` writes them; "
            "requests are compared by `weighbridge route diff`.",
            err=True,
        )
        sys.exit(1)
    click.echo(msgspec.json.encode(found) if as_json else "\n".join(_table(found)))


def _observed_by(config_option: str | None) -> Path:
    source = find_config(config_option, read_environment(os.environ), Path())
    config = load_config(source.path, os.environ)
    return config.base / config.file.observe.file


def _rule(
    rule: str, rows: Sequence[Observed], total: int, latencies: Mapping[str, Latency]
) -> RuleReport:
    ways: dict[tuple[str, str], list[Observed]] = defaultdict(list)
    for row in rows:
        ways[row.model, row.would or row.model].append(row)
    groups = [
        Group(
            source=source,
            target=target,
            requests=len(of_it),
            share=round(len(of_it) / total, 4),
            prompt_tokens=sum(row.prompt_tokens for row in of_it),
            completion_tokens=sum(row.completion_tokens for row in of_it),
            here=_latency(of_it),
            there=latencies.get(target) if source != target else None,
        )
        for (source, target), of_it in ways.items()
    ]
    return RuleReport(
        rule=rule,
        requests=len(rows),
        share=round(len(rows) / total, 4),
        moved=sum(group.requests for group in groups if group.moves),
        groups=tuple(sorted(groups, key=lambda group: (not group.moves, -group.requests))),
    )


def _latency(rows: Sequence[Observed]) -> Latency:
    durations = sorted(row.duration_s for row in rows)
    firsts = [row.first_token_s for row in rows if row.first_token_s is not None]
    return Latency(
        p50_s=round(statistics.median(durations), 4),
        p95_s=durations[min(len(durations) - 1, int(len(durations) * 0.95))],
        first_token_p50_s=round(statistics.median(firsts), 4) if firsts else None,
    )


def _table(found: Report) -> Iterator[str]:
    if not found.requests:
        yield "Nothing was observed yet."
        return
    days = " to ".join(_day(at_s) for at_s in (found.first_at_s, found.last_at_s))
    share = found.moved / found.requests
    yield f"{_requests(found.requests)} to named models, {days}; {share:.1%} would move"
    names = ("share", "requests", "prompt", "answer", "p50 s", "p95 s", "first s", "p50 s there")
    for rule in found.rules:
        yield f"\n{rule.rule}: {_requests(rule.requests)}, {rule.moved:,} would move"
        yield f"  {'':<40}" + "".join(f"{name:>12}" for name in names)
        for group in rule.groups:
            yield _row(group)


def _requests(count: int) -> str:
    return f"{count:,} request{'' if count == 1 else 's'}"


def _row(group: Group) -> str:
    way = f"{group.source} -> {group.target}" if group.moves else f"{group.source} stays"
    first, there = group.here.first_token_p50_s, group.there
    cells = (
        f"{group.share:.1%}",
        f"{group.requests:,}",
        f"{group.prompt_tokens:,}",
        f"{group.completion_tokens:,}",
        f"{group.here.p50_s:.2f}",
        f"{group.here.p95_s:.2f}",
        "-" if first is None else f"{first:.2f}",
        "-" if there is None else f"{there.p50_s:.2f}",
    )
    return f"  {way:<40}" + "".join(f"{cell:>12}" for cell in cells)


def _day(at_s: float | None) -> str:
    return datetime.fromtimestamp(at_s or 0, UTC).strftime("%Y-%m-%d")
