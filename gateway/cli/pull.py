"""`weighbridge pull`: fetches weights, so that everything after it works without a network.

Owns: what is said and asked on the terminal, and the exit code.
Must not: know hubs or caches; `engines.hub` does.
"""

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from engines.families import load_catalogue
from engines.hub.licences import Terms, is_agreed, note_agreement
from engines.hub.preparing import Ground, Prepared, prepare
from engines.hub.problems import LicenceProblem, PullProblem
from engines.hub.pulling import carry_out, check_room, web_client
from engines.hub.settings import hub_settings
from engines.hub.words import gigabytes
from engines.platform import memory_bytes
from engines.weights import WeightsProblem, locate
from engines.weights.resolve import this_store
from gateway.cli.config_source import needed_config, readable_config
from gateway.cli.models_catalogue import conditions_of
from gateway.cli.progress import Progress
from gateway.cli.pull_targets import Target, UnknownTarget, all_targets, targets_of

# For what else runs on the machine.
_SPARE_SHARE = 0.2
_INTERRUPTED = 130


@click.command(short_help="Fetch weights from a model hub or a URL.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quant", metavar="NAME", help="The quantisation to fetch, such as Q4_K_M.")
@click.option(
    "--accept-licence",
    is_flag=True,
    help="Accept licences that are not open source, without being asked.",
)
@click.option(
    "--config",
    "config_option",
    metavar="FILE",
    help="The routing file; default: WEIGHBRIDGE_CONFIG, ./routing.yaml, the packaged demo.",
)
def pull(
    names: tuple[str, ...], quant: str | None, config_option: str | None, *, accept_licence: bool
) -> None:
    """Fetch weights and verify every byte; an interrupted download is resumed.

    NAME is a model of the routing file or the catalogue (qwen2.5-coder-7b), OWNER/REPO or
    OWNER/REPO:QUANTISATION on a model hub, or https://...gguf#sha256=DIGEST. Without a NAME,
    everything that the routing file needs is fetched. HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE,
    HF_HOME and HF_HUB_CACHE mean what they mean to the hub's own tools, which share the files.
    """
    if quant is not None and not names:
        raise click.UsageError("--quant is for a NAME; the routing file says which its models are.")
    config = readable_config(config_option) if names else needed_config(config_option)
    catalogue = load_catalogue()
    progress = Progress(is_terminal=sys.stderr.isatty())
    failures: list[str] = []
    targets: list[Target] = []
    for name in names:
        try:
            targets += targets_of(name, config, catalogue, quant)
        except UnknownTarget as problem:
            failures.append(str(problem))
    if not names and config is not None:
        targets = list(all_targets(config))
        if not targets:
            click.echo("Nothing to fetch: no model of the file names a hub or a URL.")
    try:
        web = web_client()
    except PullProblem as problem:
        click.echo(str(problem), err=True)
        sys.exit(1)
    with web as client:
        room = round(memory_bytes() * (1 - _SPARE_SHARE))
        ground = Ground(hub_settings(os.environ), this_store(), catalogue, room, client)
        try:
            prepared = _prepare_all(targets, ground, failures, accept_licence=accept_licence)
            _fetch_all(prepared, ground, progress, failures)
        except KeyboardInterrupt:
            progress.says("Stopped. What has been fetched is kept: pull again to resume.")
            sys.exit(_INTERRUPTED)
    for failure in failures:
        click.echo(failure, err=True)
    sys.exit(1 if failures else 0)


def _prepare_all(
    targets: Sequence[Target], ground: Ground, failures: list[str], *, accept_licence: bool
) -> list[Prepared]:
    """Ask the hub and the person about everything first: then nobody has to stay and watch."""
    found = []
    for target in targets:
        if target.note:
            click.echo(target.note)
        try:
            prepared = prepare(ground, target.reference, target.wanted)
            if prepared.order.is_done:
                carry_out_quietly(prepared, ground)
                click.echo(f"{prepared.order.named} is here ({_size(prepared)}).")
                continue
            _show(prepared)
            _agree(prepared, ground, accept_licence=accept_licence)
            check_room(prepared.order)
        except PullProblem as problem:
            if _is_here(target):
                click.echo(f"{target.reference} is here; the hub was not asked: {problem}")
                continue
            failures.append(str(problem))
        else:
            found.append(prepared)
    return found


def _is_here(target: Target) -> bool:
    try:
        locate(str(target.reference), Path())
    except WeightsProblem:
        return False
    return True


def carry_out_quietly(prepared: Prepared, ground: Ground) -> None:
    """Write the notes of what is here already, so that its name is found offline too."""
    quiet = Progress(is_terminal=False, write=lambda _text: None)
    carry_out(ground.settings, prepared.order, client=ground.client, teller=quiet, pause=time.sleep)


def _show(prepared: Prepared) -> None:
    order, selected = prepared.order, prepared.selected
    files = "1 file" if len(order.steps) == 1 else f"{len(order.steps)} files"
    line = f"{prepared.weights}: {files}, {_size(prepared)}"
    here = order.size_bytes - order.left_bytes
    if here:
        line += f", of which {gigabytes(here)} are here"
    click.echo(line)
    if selected is not None and selected.why:
        click.echo(f"  {selected.quantisation or 'this file'}: {selected.why}.")
    if prepared.terms is not None:
        click.echo(f"  Licence: {_licence(prepared.terms)}.")


def _size(prepared: Prepared) -> str:
    size = prepared.order.size_bytes
    return gigabytes(size) if size else "size unknown"


def _licence(terms: Terms) -> str:
    url = f" ({terms.url})" if terms.url else ""
    held_back = conditions_of(terms.conditions) if terms.conditions is not None else "-"
    return f"{terms.name}{url}" + (f": {held_back}" if held_back != "-" else "")


def _agree(prepared: Prepared, ground: Ground, *, accept_licence: bool) -> None:
    """Ask once for a licence that is not open source.

    Raises:
        LicenceProblem: nobody agrees, or nobody is there to be asked.
    """
    terms = prepared.terms
    if terms is None or is_agreed(ground.store, terms):
        return
    if not accept_licence:
        if not sys.stdin.isatty():
            raise LicenceProblem(
                f"{prepared.order.named} is under {terms.name}, which is not open source: read "
                f"it{f' at {terms.url}' if terms.url else ''} and pull again with --accept-licence"
            )
        if not click.confirm(
            "  This licence is not open source. Have you read it, and do you accept it?"
        ):
            raise LicenceProblem(
                f"{prepared.order.named} was not fetched: its licence was not accepted"
            )
    when = datetime.now(UTC).isoformat(timespec="seconds")
    note_agreement(ground.store, terms, prepared.order.repo, when)


def _fetch_all(
    prepared: Sequence[Prepared], ground: Ground, progress: Progress, failures: list[str]
) -> None:
    for one in prepared:
        try:
            carry_out(
                ground.settings,
                one.order,
                client=ground.client,
                teller=progress,
                pause=time.sleep,
            )
        except PullProblem as problem:
            progress.ends()
            failures.append(str(problem))
        else:
            progress.ends()
            click.echo(f'{one.order.named} is here. In routing.yaml: weights: "{one.weights}"')
