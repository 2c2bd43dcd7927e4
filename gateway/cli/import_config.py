"""`weighbridge import`: writes a `routing.yaml` from another tool's configuration.

Owns: the options, where the file goes, what is said of what was left out.
Must not: read the other tool's words; `gateway.setup.importing` does.
"""

import sys
from pathlib import Path

import click

from engines.words import counted
from gateway.cli.target import Refused, next_steps, put, target_of
from gateway.setup.importing import NotReadable, Origin, Reading, read_foreign
from gateway.setup.importing.ollama import URL

_STDIN = "-"


@click.command("import", short_help="Convert the file of LiteLLM, llama-swap or Ollama.")
@click.argument("source", metavar="FILE")
@click.option(
    "--from",
    "origin",
    type=click.Choice([origin.value for origin in Origin]),
    help="The tool that FILE comes from; default: detected from its content.",
)
@click.option(
    "--output", metavar="FILE", default=None, help="What to write; default: routing.yaml."
)
@click.option("--ollama-url", metavar="URL", default=URL, show_default=True, help="Ollama's URL.")
@click.option("--force", is_flag=True, help="Overwrite the output.")
def import_config(
    source: str, origin: str | None, output: str | None, ollama_url: str, *, force: bool
) -> None:
    """Write a routing file from a LiteLLM or llama-swap configuration, or Ollama's list of models.

    FILE is LiteLLM's or llama-swap's config.yaml, or the output of `ollama list` or of Ollama's
    /api/tags; - is standard input. What has no counterpart is listed line by line, with what to do
    here instead. Keys are never copied: the result names environment variables.
    """
    try:
        target = target_of(output, force=force)
        text = _text(source)
        name = "standard input" if source == _STDIN else source
        reading = read_foreign(text, name, None if origin is None else Origin(origin), ollama_url)
        put(reading.text, target)
    except NotReadable as problem:
        click.echo(str(problem), err=True)
        sys.exit(1)
    except Refused as refusal:
        click.echo(str(refusal), err=True)
        sys.exit(refusal.code)
    _tell(reading)
    next_steps(target, counted(reading.models, "model"))


def _text(source: str) -> str:
    try:
        if source == _STDIN:
            return sys.stdin.read()
        return Path(source).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{source} is not UTF-8") from None
    except OSError as error:
        raise Refused(f"{source} cannot be read: {error.strerror}") from None


def _tell(reading: Reading) -> None:
    """Say on stderr what is left to do: the file itself may be going to stdout."""
    if reading.left:
        count = len(reading.left)
        click.echo(f"Not carried over ({count}):", err=True)
    for one in reading.left:
        click.echo(f"  {one}", err=True)
    if reading.variables:
        click.echo(
            f"Set these variables before you serve: {', '.join(reading.variables)}.", err=True
        )
