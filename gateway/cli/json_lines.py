"""Files with a JSON object on each line, as people hand them over.

Owns: that `-` is the standard input, what editors put before the first line, and how lines are told
that are not what they should be.
Must not: know what an object holds.
"""

import codecs
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import click

from engines.words import counted

_TOLD = 5
LINES_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, one at a time; of the standard input where it is called `-`."""
    with click.open_file(str(path), "rb") as lines:
        for number, line in enumerate(lines):
            yield line if number else line.removeprefix(codecs.BOM_UTF8)


def tell_unread(path: Path, errors: Mapping[int, str], requests: int) -> None:
    """Say on the error stream which lines are no requests, or that there is none at all."""
    for number, error in islice(errors.items(), _TOLD):
        click.echo(f"{path.name}: line {number}: {error}", err=True)
    if len(errors) > _TOLD:
        more = "more line is not a request", "more lines are not requests"
        click.echo(f"and {counted(len(errors) - _TOLD, *more)}", err=True)
    if not requests:
        click.echo(f"{path.name} contains no request", err=True)
