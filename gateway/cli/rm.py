"""`weighbridge rm`: takes weights off this machine again.

Owns: which weights a name means, the refusal of what is served, what is said.
Must not: know how the store is laid out; `engines.hub.removing` does.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from engines.families import Catalogue, load_catalogue
from engines.hub.removing import remove
from engines.hub.words import gigabytes
from engines.weights.problems import WeightsProblem
from engines.weights.pulled import Pulled, pulled_in
from engines.weights.references import HubRepo, WebFile, read_reference
from engines.weights.resolve import this_store
from engines.weights.variants import canonical
from gateway.cli.config_source import needed_config, readable_config
from gateway.cli.models_pulled import served_by, users_of
from gateway.config.loading import LoadedConfig

_UNREADABLE = (
    "Nothing was removed: what the routing file serves is kept, and so it has to be "
    "readable. Mend it, or remove anyway with --force."
)


class _NotRemoved(Exception):
    """Nothing is removed under this name; the message says why."""


@click.command(short_help="Remove weights that were pulled.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help="Also remove what the routing file serves.")
@click.option(
    "--config",
    "config_option",
    metavar="FILE",
    help="The routing file; default: WEIGHBRIDGE_CONFIG, ./routing.yaml, the packaged demo.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rm(names: tuple[str, ...], config_option: str | None, *, force: bool, as_json: bool) -> None:
    """Remove weights, including those of an unfinished pull.

    NAME is as `weighbridge models` shows it: OWNER/REPO:QUANTISATION, OWNER/REPO for a whole
    repository, or the name of a file from a URL; or a model of the routing file. What that file
    serves is kept unless --force is given; bytes that other weights share are always kept.
    """
    store, catalogue = this_store(), load_catalogue()
    # A file that cannot be read would keep nothing.
    config = readable_config(config_option) if force else needed_config(config_option, _UNREADABLE)
    served = served_by(config, store)
    here, removed, freed, failures = list(pulled_in(store)), [], 0, []
    for name in names:
        try:
            chosen = _chosen(name, here, config, catalogue)
            if not force:
                _refuse_served(name, chosen, served)
            for one in chosen:
                freed += remove(store, one)
                removed.append(one.weights)
        except _NotRemoved as problem:
            failures.append(str(problem))
        except OSError as error:
            failures.append(f"{name} cannot be removed: {error.strerror or error}")
    if as_json:
        click.echo(json.dumps({"removed": removed, "freed_bytes": freed, "failures": failures}))
    else:
        _tell(removed, freed, failures)
    sys.exit(1 if failures else 0)


def _tell(removed: Sequence[str], freed: int, failures: Sequence[str]) -> None:
    if removed:
        click.echo(f"Removed {', '.join(removed)}: {gigabytes(freed)} freed.")
    for failure in failures:
        click.echo(failure, err=True)


def _chosen(
    name: str, here: Sequence[Pulled], config: LoadedConfig | None, catalogue: Catalogue
) -> list[Pulled]:
    """Return what a name means of what is here.

    Raises:
        _NotRemoved: nothing of it.
    """
    model = None if config is None else config.file.models.get(name)
    meant = name if model is None or model.weights is None else model.weights
    found = [one for one in here if meant in (one.weights, one.repo)] or _by_form(meant, here)
    if not found and model is None:
        entry = catalogue.find(name)
        repos = () if entry is None else (*entry.gguf, *entry.repos)
        found = [one for one in here if one.repo in repos]
    if not found:
        raise _NotRemoved(f"{name} is not here; `weighbridge models --pulled` shows what is")
    return found


def _by_form(meant: str, here: Sequence[Pulled]) -> list[Pulled]:
    try:
        reference = read_reference(meant)
    except WeightsProblem:
        return []
    if isinstance(reference, WebFile):
        return [o for o in here if not o.repo and o.files[0].parent.name == reference.sha256]
    if not isinstance(reference, HubRepo):
        return []
    pick = reference.pick
    return [
        one
        for one in here
        if one.repo == reference.repo and (pick is None or _has(one, pick) or _is_of(one, pick))
    ]


def _is_of(one: Pulled, quantisation: str) -> bool:
    return one.format != "projector" and one.quantisation == canonical(quantisation)


def _has(one: Pulled, pick: str) -> bool:
    return any(Path(pick).name == file.name for file in one.files)


def _refuse_served(
    name: str, chosen: Sequence[Pulled], served: Mapping[Path, Sequence[str]]
) -> None:
    users = dict.fromkeys(user for one in chosen for user in users_of(one, served))
    if users:
        raise _NotRemoved(
            f"{name} is served as {', '.join(users)} by the routing file: take it out there, or "
            "remove it anyway with --force"
        )
