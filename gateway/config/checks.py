"""What a file may not say although each part of it holds to the schema.

Owns: names that exist nowhere or twice, keys without effect; the list of all checks.
Must not: read files, weights or the environment; place findings in the file (`loading` does).
"""

import re
from collections.abc import Callable, Iterator

from engines.families import Catalogue
from engines.kinds import VllmEngine
from engines.kinds.section import several
from gateway.config.adapters import adapter_errors
from gateway.config.document import Path
from gateway.config.finding import Finding, missing, placed
from gateway.config.groups import group_errors
from gateway.config.names import (
    VARIANT_PLACES,
    Trail,
    all_aliases,
    follow,
    is_reserved,
    places_of_name,
    variants_of,
)
from gateway.config.reach import unreachable_rules
from gateway.config.rules import rule_errors
from gateway.config.schema import ModelSection, RoutingFile
from gateway.config.vocabulary import AUTO, LANGUAGES, language_meant

# Keys that mean something to a process of ours only.
_MANAGED_KEYS = (
    *("weights", "replicas", "parallel", "threads", "pooling", "mmproj"),
    *("load", "pin", "keep_alive_s", "min_resident_s", "memory", "warm_up"),
)

# A server there takes the ports of loopback.
_HOSTS_OF_LOOPBACK = ("127.0.0.1", "localhost", "0.0.0.0", "::")
_DEVICE = re.compile(r"ram|gpu\d+", re.ASCII)
_CODE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?")
_WEIGHTS = {
    "llamacpp": "the path of a GGUF file",
    "vllm": "a folder with a config.json, or a hub's OWNER/NAME",
}


def errors_in(file: RoutingFile, catalogue: Callable[[], Catalogue]) -> tuple[Finding, ...]:
    """Return why the file cannot be used; `catalogue` is called only where the file names facts."""
    return (
        *_model_errors(file, catalogue),
        *_port_errors(file),
        *_budget_errors(file),
        *adapter_errors(file),
        *group_errors(file),
        *_alias_errors(file),
        *_alias_targets(file),
        *_size_errors(file),
        *rule_errors(file, catalogue),
    )


def warnings_in(file: RoutingFile) -> tuple[Finding, ...]:
    """Return what is surely not meant in a file without errors, though it can be used."""
    return (*_unused_engines(file), *_taken_ports(file), *unreachable_rules(file))


def _model_errors(file: RoutingFile, catalogue: Callable[[], Catalogue]) -> Iterator[Finding]:
    for name, model in file.models.items():
        path = ("models", name)
        if not name.strip():
            yield Finding(path, "a model needs a name that clients can ask for")
        if is_reserved(name):
            yield Finding(
                path, f"'{name}' is reserved for routing by rules; give the model another name"
            )
        seen: set[str] = set()
        for where, engine in placed((*path, "engine"), model.engine):
            if engine not in file.engines:
                what = missing("engine", engine, file.engines)
                yield Finding(where, what, (("engines", engine),))
            elif engine in seen:
                what = f"the engine '{engine}' is named twice; `replicas` runs more of one"
                yield Finding(where, what)
            seen.add(engine)
        yield from _key_errors(name, model, file)
        yield from _language_errors((*path, "languages"), model.languages)
        if model.catalogue is not None and catalogue().find(model.catalogue) is None:
            known = [entry.name for entry in catalogue().entries]
            what = missing("entry of the catalogue", model.catalogue, known)
            hint = "" if "did you mean" in what else "; `weighbridge models --catalogue` lists them"
            yield Finding((*path, "catalogue"), f"{what}{hint}")


def _language_errors(path: Path, languages: tuple[str, ...]) -> Iterator[Finding]:
    """Find what is no code, and so the language of no request; codes that nobody tells may be."""
    for where, word in placed(path, languages):
        meant = language_meant(word)
        if word in LANGUAGES or (meant is None and _CODE.fullmatch(word)):
            continue
        hint = "; write an ISO 639-1 code, such as en or zh"
        if meant in LANGUAGES:
            hint = f"; did you mean '{meant}' ({LANGUAGES[meant]})?"
        yield Finding(where, f"there is no language '{word}'{hint}")


def _key_errors(name: str, model: ModelSection, file: RoutingFile) -> Iterator[Finding]:
    """Find keys that the model's engines need and lack, or have no use for."""
    path = ("models", name)
    if model.max_queued is not None and model.max_concurrent is None:
        what = "'max_queued' has no effect without 'max_concurrent'; set that too, or remove it"
        yield Finding((*path, "max_queued"), what)
    names = several(model.engine)
    if not all(engine in file.engines for engine in names):
        return
    kinds: tuple[Path, ...] = tuple(("engines", engine, "kind") for engine in names)
    managed = [engine for engine in names if file.engines[engine].managed]
    if managed and model.weights is None:
        kind = file.engines[managed[0]].kind
        what = f"the engine '{managed[0]}' runs it, so it needs `weights`: {_WEIGHTS[kind]}"
        yield Finding(path, what, ((*path, "weights"), *kinds))
    given = [key for key in _MANAGED_KEYS if key in model.model_fields_set]
    for key in () if managed else given:
        yield Finding(
            (*path, key),
            f"'{key}' has no effect: the engine '{names[0]}' is remote; remove it",
            kinds,
        )
    others = [engine for engine in managed if file.engines[engine].kind != "llamacpp"]
    if model.mmproj is not None and others:
        what = (
            f"'mmproj' has no effect at '{others[0]}', which finds its projector in the weights; "
            "remove it"
        )
        yield Finding((*path, "mmproj"), what, kinds)
    if len(managed) == len(names) and model.upstream_model is not None:
        yield Finding(
            (*path, "upstream_model"),
            f"'upstream_model' is for remote engines, and '{names[0]}' is not one; remove it "
            "(`catalogue` says which model it is)",
            kinds,
        )


def _port_errors(file: RoutingFile) -> Iterator[Finding]:
    """Find engines whose replicas would listen at ports that are taken by others."""
    taken: dict[int, str] = {}
    for name, models, ports in _listening(file):
        path = ("engines", name, "port")
        both = next((taken[port] for port in ports if port in taken), None)
        if len(models) > 1:
            what = (
                f"'{models[0]}' and '{models[1]}' would listen at the same port; leave `port` out, "
                "or give each an engine of its own"
            )
            yield Finding(path, what)
        elif both is not None:
            what = (
                f"replicas of '{both}' and '{name}' would listen at the same port; leave `port` "
                "out, or choose one further off"
            )
            yield Finding(path, what, (("engines", both, "port"), ("models", "*", "replicas")))
        taken |= dict.fromkeys(ports, name)


def _taken_ports(file: RoutingFile) -> Iterator[Finding]:
    """Find engines that would listen where the gateway does, unless it is told otherwise."""
    section = file.gateway
    if section.host not in _HOSTS_OF_LOOPBACK:
        return
    for name, _, ports in _listening(file):
        if section.port in ports:
            what = (
                f"the gateway itself listens at port {section.port}, so a replica cannot; change "
                "this port or `gateway.port`"
            )
            yield Finding(("engines", name, "port"), what)


def _listening(file: RoutingFile) -> Iterator[tuple[str, list[str], range]]:
    """Yield the engines that listen at ports, each with its models and the ports."""
    for name, engine in file.engines.items():
        if not isinstance(engine, VllmEngine) or engine.port is None:
            continue
        models = [m for m, section in file.models.items() if name in several(section.engine)]
        models = [model for model in models if file.models[model].adapter_of is None]
        replicas = max((file.models[model].replicas for model in models), default=0)
        yield name, models, range(engine.port, engine.port + replicas)


def _budget_errors(file: RoutingFile) -> Iterator[Finding]:
    """Find budgets of what is no device, which would bound nothing."""
    for name in file.residency.budget:
        if _DEVICE.fullmatch(name) is None:
            what = f"there is no device '{name}'; use ram, or a GPU's number as in gpu0"
            yield Finding(("residency", "memory", name), what)


def _alias_errors(file: RoutingFile) -> Iterator[Finding]:
    """Find aliases that are no names of their own."""
    given = [
        (where, alias, model)
        for model, section in file.models.items()
        for where, alias in placed(("models", model, "aliases"), section.aliases)
    ]
    given += [(("aliases", alias), alias, target) for alias, target in file.aliases.items()]
    first: dict[str, str] = {}
    for where, alias, target in given:
        if not alias.strip():
            yield Finding(where, "an alias needs a name that clients can ask for")
        elif is_reserved(alias):
            yield Finding(where, f"'{alias}' is reserved for routing by rules; choose another")
        elif alias in file.models:
            yield Finding(where, f"'{alias}' is a model's own name; an alias needs another")
        elif alias in first:
            what = f"the alias '{alias}' stands for '{first[alias]}' already; keep one"
            yield Finding(where, what)
        first.setdefault(alias, target)


def _alias_targets(file: RoutingFile) -> Iterator[Finding]:
    """Find aliases that lead nowhere or in a circle; a circle is told once, at its first name."""
    aliases, variants = all_aliases(file), variants_of(file)
    told: set[str] = set()
    for alias, target in file.aliases.items():
        trail = follow(alias, aliases)
        if trail.cycle and told.isdisjoint(trail.steps):
            told.update(trail.steps)
            yield Finding(("aliases", _first(trail, file)), _circle(trail))
        if target in file.models or target in aliases or target == AUTO:
            continue
        head, _, variant = target.partition(":")
        if head != AUTO:
            known = (*file.models, *aliases, AUTO)
            what = missing("model or alias", target, known)
            yield Finding(("aliases", alias), what, places_of_name(target))
        elif variant not in variants:
            what = missing("variant of auto", variant, variants)
            how = f"a rule makes one with `when: {{variant: {variant or 'NAME'}}}`"
            yield Finding(("aliases", alias), f"{what}; {how}", VARIANT_PLACES)


def _first(trail: Trail, file: RoutingFile) -> str:
    return next(alias for alias in file.aliases if alias in trail.steps)


def _circle(trail: Trail) -> str:
    return f"these aliases form a cycle: {' -> '.join(trail.steps)}; let one of them name a model"


def _size_errors(file: RoutingFile) -> Iterator[Finding]:
    sizes = file.sizes
    if sizes.small_below > sizes.large_from:
        key = "small_below" if "small_below" in sizes.model_fields_set else "large_from"
        yield Finding(
            ("sizes", key),
            f"small_below ({sizes.small_below}) is greater than large_from ({sizes.large_from}): "
            "a request cannot be small and large",
        )


def _unused_engines(file: RoutingFile) -> Iterator[Finding]:
    used = {engine for model in file.models.values() for engine in several(model.engine)}
    for name in file.engines:
        if name not in used:
            yield Finding(("engines", name), f"no model uses the engine '{name}'")
