"""`weighbridge route diff OLD NEW --log FILE`: which requests would go elsewhere.

Owns: comparing two configurations request by request, and how the differences are told.
Must not: decide, or send anything.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import tee
from pathlib import Path

import click
import msgspec

from gateway.cli.json_lines import LINES_FILE, read_lines, tell_unread
from gateway.cli.route_text import Line, explain_lines, explainer_of
from gateway.config.loading import load_config
from gateway.config.problems import ConfigError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Way(msgspec.Struct, frozen=True):
    """Where a configuration sends a request; `error` where it refuses it."""

    model: str | None
    rule: str | None
    error: str | None = None

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.model} ({self.rule})" if self.error is None else "refused"


class Move(msgspec.Struct, frozen=True, rename={"old": "from", "new": "to"}):
    """A request of the log, by its line, that goes elsewhere."""

    line: int
    task: str | None
    language: str | None
    old: Way
    new: Way


class Unread(msgspec.Struct, frozen=True):
    """A line of the log that is no request."""

    line: int
    error: str


class Diff(msgspec.Struct, frozen=True):
    """What changes over a log; `refused` counts those that both configurations refuse.

    `unread` are its lines that are no requests, which count nowhere else.
    """

    requests: int
    moved: int
    refused: int
    moves: tuple[Move, ...]
    unread: tuple[Unread, ...] = ()


def diff_of(old: Iterator[Line], new: Iterator[Line]) -> Diff:
    """Compare what two configurations make of the same requests."""
    moves, unread, requests, refused = [], [], 0, 0
    for before, after in zip(old, new, strict=True):
        if before.unreadable:
            unread.append(Unread(before.number, before.error))
            continue
        requests += 1
        ways = _way(before), _way(after)
        refused += all(way.model is None for way in ways)
        if ways[0].model != ways[1].model:
            weighed = after.explanation or before.explanation
            task = weighed.weighed.task if weighed else None
            language = weighed.weighed.language if weighed else None
            moves.append(Move(before.number, task, language, *ways))
    return Diff(requests, len(moves), refused, tuple(moves), tuple(unread))


@click.command(short_help="List which requests of a log a new file would send elsewhere.")
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.option(
    "--log",
    "log",
    type=LINES_FILE,
    required=True,
    help="Requests, one JSON object per line: whole bodies, or `text` with its `history`; - is "
    "standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diff(old: Path, new: Path, log: Path, *, as_json: bool) -> None:
    """List which requests of a log would change models between two routing files, and why.

    Every model counts as up and idle. A request moves where another model would be asked first.
    The exit status is 1 where a line is no request, or none is one.
    """
    try:
        explainers = [explainer_of(load_config(path, os.environ)) for path in (old, new)]
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    first, second = tee(read_lines(log))
    found = diff_of(explain_lines(explainers[0], first), explain_lines(explainers[1], second))
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        click.echo("\n".join(_table(found)))
    if found.unread or not found.requests:
        tell_unread(log, {one.line: one.error for one in found.unread}, found.requests)
        sys.exit(1)


def _way(line: Line) -> Way:
    if line.explanation is None:
        return Way(None, None, line.error)
    choice = line.explanation.choice
    return Way(choice.models[0], choice.rule)


def _table(found: Diff) -> Iterator[str]:
    share = found.moved / found.requests if found.requests else 0.0
    yield f"{found.moved:,} of {found.requests:,} requests move ({share:.1%})"
    if found.refused:
        yield f"{found.refused:,} {'is' if found.refused == 1 else 'are'} refused by both files"
    counted = Counter((str(move.old), str(move.new)) for move in found.moves)
    for (before, after), count in counted.most_common():
        yield f"  {count:>7,}  {before} -> {after}"
    if found.moves:
        yield "\nline     task           language    from -> to"
    for move in found.moves:
        features = f"{move.task or '-':<14} {move.language or '-':<11}"
        yield f"{move.line:<8} {features} {move.old} -> {move.new}"
        for way in (move.old, move.new):
            if way.error is not None:
                yield f"{'':8} {way.error}"
