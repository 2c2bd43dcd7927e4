"""What `weighbridge pull` is asked for: a model of the file or the catalogue, a repository, a URL.

Owns: the order in which these are tried, and the words for what is none of them.
Must not: ask any network.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from engines.families import Catalogue, Entry
from engines.hub.selection import Format
from engines.weights.problems import WeightsProblem
from engines.weights.references import HubRepo, Local, WebFile, read_reference
from engines.weights.resolve import is_local
from gateway.config.loading import LoadedConfig
from gateway.config.names import resolved_aliases
from gateway.planning import engines_of

_FORMATS: Mapping[str, Format] = {"llamacpp": "gguf", "vllm": "safetensors"}


class UnknownTarget(ValueError):
    """Nothing can be pulled under this name; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to pull. `name` is what was asked for; `note` is worth a line before it begins."""

    name: str
    reference: HubRepo | WebFile
    wanted: Format | None = None
    note: str = ""


def all_targets(config: LoadedConfig) -> Iterator[Target]:
    """Yield what the models of a file need, each thing once."""
    seen = set()
    for name, model in config.file.models.items():
        found = [_configured(name, config)]
        if model.mmproj is not None:
            found.append(_fetched(name, model.mmproj, "gguf", config))
        for target in found:
            if isinstance(target, Target) and (target.reference, target.wanted) not in seen:
                seen.add((target.reference, target.wanted))
                yield target


def targets_of(
    name: str, config: LoadedConfig | None, catalogue: Catalogue, quant: str | None
) -> list[Target]:
    """Return what one name means, of a model of the file also what it sees with.

    `quant` picks in a repository of weights.

    Raises:
        UnknownTarget: it is a file already, served elsewhere, or nothing that anybody knows.
    """
    sight, has_weights = (None, False) if config is None else _beside(name, config)
    if sight is None:
        return [_target_of(name, config, catalogue, quant)]
    if has_weights and quant is None:
        return [sight]
    return [_target_of(name, config, catalogue, quant), sight]


def _beside(name: str, config: LoadedConfig) -> tuple[Target | None, bool]:
    """Return a model's projector that is to be fetched; whether its weights are a file already."""
    name = resolved_aliases(config.file).get(name, name)
    model = config.file.models.get(name)
    if model is None or model.mmproj is None or model.weights is None:
        return None, False
    found = _fetched(name, model.mmproj, "gguf", config)
    try:
        here = is_local(model.weights, config.base)
    except WeightsProblem:
        here = False
    return (found if isinstance(found, Target) else None), here


def _target_of(
    name: str, config: LoadedConfig | None, catalogue: Catalogue, quant: str | None
) -> Target:
    target = _named(name, config, catalogue)
    if quant is None:
        return target
    if not isinstance(target.reference, HubRepo):
        raise UnknownTarget(f"--quant is for repositories; {name} is a single file")
    return replace(target, reference=replace(target.reference, pick=quant))


def _named(name: str, config: LoadedConfig | None, catalogue: Catalogue) -> Target:
    if config is not None:
        configured = _configured(resolved_aliases(config.file).get(name, name), config)
        if isinstance(configured, Target):
            return configured
        if configured is not None:
            raise UnknownTarget(f"{name} {configured}")
    try:
        reference = read_reference(name)
    except WeightsProblem as problem:
        raise UnknownTarget(str(problem)) from None
    if isinstance(reference, HubRepo | WebFile):
        return Target(name, reference)
    entry = catalogue.find(name) if isinstance(reference, Local) else None
    if entry is None:
        raise UnknownTarget(_unknown(name, config, catalogue))
    return _from_catalogue(name, entry)


def _configured(name: str, config: LoadedConfig) -> Target | str | None:
    """Return what a model of the file needs; why nothing; None where there is no such model."""
    model = config.file.models.get(name)
    if model is None:
        return None
    kinds = {config.file.engines[engine].kind for engine in engines_of(model)}
    if model.weights is None:
        return "is served by a remote engine, which has its weights" if kinds else None
    wanted = _FORMATS.get(next(iter(kinds))) if len(kinds) == 1 else None
    return _fetched(name, model.weights, wanted, config)


def _fetched(
    name: str, weights: str, wanted: Format | None, config: LoadedConfig
) -> Target | str | None:
    """Return what has to be fetched for one file of a model; else why nothing."""
    try:
        if is_local(weights, config.base):
            return f"needs no fetching: its weights are {weights!r}"
        reference = read_reference(weights)
    except WeightsProblem as problem:
        return f"cannot be pulled: {problem}"
    if not isinstance(reference, HubRepo | WebFile):
        return None
    return Target(name, reference, wanted)


def _from_catalogue(name: str, entry: Entry) -> Target:
    if entry.gguf:
        repo, maker = entry.gguf[0], entry.repos[0].partition("/")[0] if entry.repos else ""
        owner = repo.partition("/")[0]
        note = f"{entry.name}: GGUF files of {repo}"
        if maker and owner.lower() != maker.lower():
            note += f", made from {maker}'s weights by {owner}"
        return Target(name, HubRepo(repo), "gguf", note)
    if entry.repos:
        note = f"{entry.name}: safetensors of {entry.repos[0]}, for vLLM; no GGUF copy is known"
        return Target(name, HubRepo(entry.repos[0]), "safetensors", note)
    raise UnknownTarget(
        f"{entry.name} is in the catalogue, but without a repository to fetch it from"
    )


def _unknown(name: str, config: LoadedConfig | None, catalogue: Catalogue) -> str:
    if Path(name).exists():
        return f"{name} is already a file on this machine"
    known = [entry.name for entry in catalogue.entries if entry.gguf or entry.repos]
    known += [] if config is None else list(config.file.models)
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]}?" if close else "."
    return (
        f"{name} is neither a model of the file nor one of the catalogue{meant} Give a name from "
        "`weighbridge models --catalogue`, OWNER/REPO:QUANTISATION of a hub, or a URL with a "
        "checksum"
    )
