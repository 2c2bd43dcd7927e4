"""Files with a JSON object on each line, as people hand them over.

Owns: that `-` is the standard input, and what editors put before the first line.
Must not: know what an object holds.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path

import click

LINES_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, one at a time; of the standard input where it is called `-`."""
    with click.open_file(str(path), "rb") as lines:
        for number, line in enumerate(lines):
            yield line if number else line.removeprefix(codecs.BOM_UTF8)
