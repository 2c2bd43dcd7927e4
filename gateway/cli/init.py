"""`weighbridge init`: writes a `routing.yaml`: the demo's, or one for what is there.

Owns: the options, where the file goes, what is said on the terminal.
Must not: decide what stands in the file; `gateway.setup` does.
"""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from re import fullmatch

import click

from engines.families import load_catalogue
from engines.weights import WeightsProblem, read_header, resolve
from engines.weights.pulled import pulled_in
from engines.weights.resolve import is_local, this_store
from engines.words import counted
from gateway.cli.config_source import PACKAGED
from gateway.cli.target import STDOUT, Refused, next_steps, put, target_of
from gateway.setup.asking import AddressProblem, ask, base_urls
from gateway.setup.draft import Draft, draft
from gateway.setup.rules import rules_for
from gateway.setup.sources import Server, Silent, Sources, WeightsFile
from gateway.setup.writing import written

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _Question:
    """A server to ask: its address, and the variable whose value is its key."""

    address: str
    key_env: str | None
    key: str | None = field(repr=False)


@click.command()
@click.argument("file", required=False)
@click.option("--output", metavar="FILE", help="Same as FILE.")
@click.option("--from", "servers", multiple=True, metavar="URL", help="A running server to query.")
@click.option(
    "--gguf",
    "weights",
    multiple=True,
    metavar="PATH",
    help="A GGUF file to serve, or the name of pulled weights.",
)
@click.option("--pulled", is_flag=True, help="Serve the GGUF models that were pulled.")
@click.option(
    "--key-env",
    "key_envs",
    multiple=True,
    metavar="NAME",
    help="The environment variable that holds the servers' key: once for all servers, or once for "
    "each in their order. The file names the variable, never the key.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def init(
    file: str | None,
    output: str | None,
    servers: tuple[str, ...],
    weights: tuple[str, ...],
    key_envs: tuple[str, ...],
    *,
    pulled: bool,
    force: bool,
) -> None:
    """Write a routing file for the demo, or for your servers and files.

    FILE is routing.yaml when absent; - prints to standard output. Without --from, --gguf and
    --pulled it is the packaged demo. With them each server is asked for its models, and the rules
    for `auto` fit what was found. --from, --gguf and --key-env may be repeated.
    """
    try:
        target = _target(file, output, force=force)
        here = _here()
        if pulled:
            weights = (*weights, *_offered(here))
        if not servers and not weights:
            if key_envs:
                raise Refused("--key-env is for servers: name them with --from")
            put(PACKAGED.read_text(encoding="utf-8"), target)
            next_steps(target, "the demo models")
            if here and target != STDOUT:
                click.echo(
                    "`weighbridge init --pulled` writes one for the weights that you have pulled."
                )
            return
        sources = _sources(servers, weights, key_envs, target)
        found = _draft(sources)
        put(written(found, rules_for(found.models)), target)
        next_steps(target, _counts(found))
    except Refused as refusal:
        click.echo(str(refusal), err=True)
        sys.exit(refusal.code)


def _target(file: str | None, output: str | None, *, force: bool) -> str:
    """Return where the text goes; looked at before anybody is asked anything."""
    if file is not None and output is not None and file != output:
        raise Refused("FILE and --output name different files; give one")
    return target_of(file or output, force=force)


def _sources(
    servers: Sequence[str], weights: Sequence[str], key_envs: Sequence[str], target: str
) -> Sources:
    """Read the files, then ask the servers.

    Raises:
        Refused: a file is none, an address is none, a key is missing, or nobody answered.
    """
    base = Path.cwd() if target == STDOUT else Path(target).parent
    files = tuple(_read(path, base) for path in dict.fromkeys(weights))
    answers = _ask_all(_questions(servers, key_envs))
    answered = tuple(answer for answer in answers if isinstance(answer, Server))
    silent = tuple(answer for answer in answers if isinstance(answer, Silent))
    for one in silent:
        click.echo(f"{one.url}: {one.reason}", err=True)
    if not answered and not files:
        raise Refused(f"nothing was written: {_nobody(len(silent))}", code=1)
    return Sources(answered, silent, files)


def _read(given: str, base: Path) -> WeightsFile:
    try:
        path = resolve(given, Path.cwd())
        return WeightsFile(_as_written(given, path, base), read_header(path))
    except WeightsProblem as problem:
        raise Refused(f"--gguf {given}: {problem}") from None


def _as_written(given: str, path: Path, base: Path) -> str:
    """Return a path as the file in `base` is to name it: relative where the file stands below."""
    if given.startswith("demo:") or not is_local(given, Path.cwd()):
        return given
    place, folder = path.parent.resolve() / path.name, base.resolve()
    if place.is_relative_to(folder):
        return f"./{place.relative_to(folder).as_posix()}"
    starts_here = folder == Path.cwd().resolve()
    return given if starts_here or given.startswith(("/", "~")) else str(place)


def _here() -> list[str]:
    """Return the GGUF models of this machine as the file is to name them."""
    gguf = (one for one in pulled_in(this_store()) if one.format == "gguf")
    return [one.weights if one.repo else str(one.files[0]) for one in gguf]


def _offered(here: list[str]) -> list[str]:
    """Return what --pulled means.

    Raises:
        Refused: it means nothing.
    """
    if not here:
        raise Refused("nothing was pulled yet: fetch a model with `weighbridge pull NAME`", code=1)
    return here


def _questions(servers: Sequence[str], key_envs: Sequence[str]) -> list[_Question]:
    """Pair each server with its key; an address given twice is asked once."""
    if len(key_envs) > 1 and len(key_envs) != len(servers):
        raise Refused(
            f"--key-env is given {len(key_envs)} times for {len(servers)} servers; give it once "
            "for all, or once for each"
        )
    if key_envs and not servers:
        raise Refused("--key-env is for servers: name them with --from")
    names = key_envs if len(key_envs) > 1 else [*key_envs, None][:1] * len(servers)
    questions: dict[str, _Question] = {}
    for address, name in zip(servers, names, strict=True):
        try:
            place = base_urls(address)[-1]
        except AddressProblem as problem:
            raise Refused(f"--from: {problem}") from None
        questions.setdefault(place, _Question(address, name, _key(name)))
    return list(questions.values())


def _key(name: str | None) -> str | None:
    if name is None:
        return None
    if fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
        # It may be the key itself, given by mistake: it is not repeated.
        raise Refused("--key-env wants the name of an environment variable, not a key")
    key = os.environ.get(name)
    if not key:
        raise Refused(f"--key-env {name}: this environment variable is not set")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise Refused(f"--key-env {name}: a key is printable ASCII without spaces")
    return key


def _ask_all(questions: Sequence[_Question]) -> list[Server | Silent]:
    if not questions:
        return []
    with ThreadPoolExecutor(min(len(questions), _AT_ONCE)) as askers:
        return list(askers.map(lambda one: ask(one.address, one.key_env, one.key), questions))


def _nobody(count: int) -> str:
    return "the server gave no list of models" if count == 1 else "no server gave a list of models"


def _draft(sources: Sources) -> Draft:
    return draft(sources, load_catalogue())


def _counts(found: Draft) -> str:
    engines = [engine for engine in found.engines if engine.silent is None]
    return f"{counted(len(found.models), 'model')} on {counted(len(engines), 'engine')}"
