"""Where a command that writes a routing file puts it.

Owns: refusing to overwrite, `-` for standard output, what to do next.
Must not: decide what stands in the file.
"""

import shlex
from pathlib import Path

import click

from engines.platform.writing import write_whole

STDOUT = "-"
DEFAULT = "routing.yaml"


class Refused(Exception):
    """What was asked for cannot be done; the message is one line, `code` the exit status."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


def target_of(given: str | None, *, force: bool) -> str:
    """Return where the text goes; looked at before anything is read or asked.

    Raises:
        Refused: something is there already, or nothing can be there.
    """
    target = given or DEFAULT
    if target == STDOUT:
        return target
    try:
        _check(Path(target), force=force)
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise Refused(f"{target} cannot be looked at: {error.strerror}") from None
    return target


def _check(path: Path, *, force: bool) -> None:
    target = str(path)
    if path.is_dir():
        raise Refused(f"{target} is a folder; name a file in it")
    if (path.exists() or path.is_symlink()) and not force:
        raise Refused(
            f"{target} is already there; overwrite it with --force, or name another with --output"
        )
    if not path.parent.is_dir():
        raise Refused(f"there is no folder {path.parent}; make it first")


def put(text: str, target: str) -> None:
    """Write the file, or print it; what was there stays until all of it is written.

    Raises:
        Refused: it cannot be written.
    """
    if target == STDOUT:
        click.echo(text, nl=False)
        return
    path = Path(target).resolve()
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, say
            path.write_text(text, encoding="utf-8")
        else:
            write_whole(path, [text.encode()])
    except OSError as error:
        raise Refused(f"{target} cannot be written: {error.strerror}", code=1) from None


def next_steps(target: str, what: str) -> None:
    """Say what was written and how to go on; nothing where it was printed."""
    if target == STDOUT:
        return
    named = shlex.quote(target)
    option = "" if Path(target).resolve() == Path(DEFAULT).resolve() else f" --config {named}"
    click.echo(f"{target} is written, with {what}.")
    click.echo(
        f"Check it with `weighbridge check{option}`, serve it with `weighbridge serve{option}`."
    )
