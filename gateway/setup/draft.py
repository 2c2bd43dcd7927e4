"""From what was found to the entries of `engines:` and `models:`.

Owns: which servers are replicas of one engine, which served ids are one model, their names.
Must not: choose rules or write text.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace

from engines.families import Catalogue, Entry
from gateway.config.names import is_reserved
from gateway.setup.models import Found, Role, found_in_file, found_on_server
from gateway.setup.naming import engine_name, model_name
from gateway.setup.sources import Listed, Server, Silent, Sources

LOCAL_ENGINE = "cpu"
_LONGEST_ALIAS = 128
_ALIAS = re.compile(r"[\w.-][\w.:/@+-]*")


@dataclass(frozen=True, slots=True)
class EngineDraft:
    """An engine: our own workers where it has no URLs. A `silent` one could not be asked."""

    name: str
    urls: tuple[str, ...] = ()
    key_env: str | None = None
    silent: str | None = None


@dataclass(frozen=True, slots=True)
class ModelDraft:
    """An entry of `models:`; None and () are left out of the file.

    `catalogue` is set where id or path do not tell the gateway which entry it is.
    """

    name: str
    found: Found
    engines: tuple[str, ...]
    upstream_model: str | None = None
    weights: str | None = None
    aliases: tuple[str, ...] = ()
    context: int | None = None
    catalogue: str | None = None

    @property
    def embeddings(self) -> bool:
        """Whether it is there for embeddings and nothing else."""
        return self.found.role is Role.EMBEDDING

    @property
    def reranks(self) -> bool:
        """Whether it is there to rank and for nothing else."""
        return self.found.role is Role.RERANKER


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be served, in the order in which it was found."""

    engines: tuple[EngineDraft, ...]
    models: tuple[ModelDraft, ...]


@dataclass(frozen=True, slots=True, order=True)
class _Identity:
    """What makes two served ids one model: the id, and what was loaded under it where it says.

    Servers of two different models may both call theirs `default`.
    """

    id: str
    loaded: str


@dataclass(slots=True)
class _Offer:
    """A model and the servers that offer it, while they are gone through."""

    found: Found
    contexts: list[int]
    servers: list[Server]


def draft(sources: Sources, catalogue: Catalogue) -> Draft:
    """Return engines and models for all that answered."""
    offers: dict[_Identity, _Offer] = {}
    offered = [(server, _offer(server, offers, catalogue)) for server in sources.servers]
    engines, engine_of = _engines(offered, has_files=bool(sources.files))
    models: dict[str, ModelDraft] = {}
    for offer in offers.values():
        of = tuple(dict.fromkeys(engine_of[server.url] for server in offer.servers))
        context = min(offer.contexts, default=None)
        found = replace(offer.found, served_context_tokens=context)
        model = _remote_model(found, of, models, catalogue)
        models[model.name] = model
    for file in sources.files:
        found = found_in_file(file.written, file.header, catalogue)
        model = _local_model(found, models, catalogue)
        models[model.name] = model
    names = {engine.name for engine in engines}
    return Draft((*engines, *_silent(sources.silent, names)), _with_aliases(models))


def _offer(
    server: Server, offers: dict[_Identity, _Offer], catalogue: Catalogue
) -> frozenset[_Identity]:
    """Note what a server offers; return the identities, by which replicas are found."""
    rows = {row.id: row for row in server.models}
    own = set()
    for row in server.models:
        found = found_on_server(row, catalogue, rows.get(row.parent or ""), server.owner)
        identity = _Identity(row.id, _loaded(row, found.entry))
        own.add(identity)
        offer = offers.setdefault(identity, _Offer(found, [], []))
        offer.servers.append(server)
        if found.served_context_tokens is not None:
            offer.contexts.append(found.served_context_tokens)
    return frozenset(own)


def _loaded(row: Listed, entry: Entry | None) -> str:
    if entry is not None:
        return entry.name
    return row.root if row.root is not None and row.root != row.id else ""


def _engines(
    offered: list[tuple[Server, frozenset[_Identity]]], *, has_files: bool
) -> tuple[list[EngineDraft], dict[str, str]]:
    """Return the engines, and the engine's name for each URL: equal offers are replicas."""
    groups: dict[tuple[frozenset[_Identity], str | None], list[Server]] = {}
    for server, own in offered:
        groups.setdefault((own, server.key_env), []).append(server)
    taken = {LOCAL_ENGINE} if has_files else set()
    engines: list[EngineDraft] = []
    engine_of: dict[str, str] = {}
    for (_, key_env), servers in groups.items():
        urls = tuple(server.url for server in servers)
        name = engine_name(urls, servers[0].owner, taken)
        taken.add(name)
        engines.append(EngineDraft(name, urls, key_env))
        engine_of |= dict.fromkeys(urls, name)
    if has_files:
        engines.append(EngineDraft(LOCAL_ENGINE))
    return engines, engine_of


def _silent(silent: tuple[Silent, ...], taken: set[str]) -> list[EngineDraft]:
    engines = []
    for one in silent:
        name = engine_name((one.url,), "", taken)
        taken.add(name)
        engines.append(EngineDraft(name, (one.url,), one.key_env, one.reason))
    return engines


def _remote_model(
    found: Found,
    engines: tuple[str, ...],
    taken: dict[str, ModelDraft],
    catalogue: Catalogue,
) -> ModelDraft:
    name = _name(found, taken, catalogue)
    return ModelDraft(
        name,
        found,
        engines,
        upstream_model=found.served,
        context=found.served_context_tokens,
        catalogue=_catalogue_key(found, catalogue),
    )


def _local_model(found: Found, taken: dict[str, ModelDraft], catalogue: Catalogue) -> ModelDraft:
    name = _name(found, taken, catalogue)
    key = _catalogue_key(found, catalogue)
    return ModelDraft(name, found, (LOCAL_ENGINE,), weights=found.served, catalogue=key)


def _name(found: Found, taken: dict[str, ModelDraft], catalogue: Catalogue) -> str:
    matched = None if found.entry is None else found.entry.name
    return model_name(
        found.served,
        matched,
        taken,
        misread=lambda name: catalogue.find(name) not in (None, found.entry),
        local=found.local,
    )


def _catalogue_key(found: Found, catalogue: Catalogue) -> str | None:
    """Return the entry's name where what is served does not say it; people rename models."""
    entry = found.entry
    return None if entry is None or catalogue.find(found.served) is entry else entry.name


def _with_aliases(models: dict[str, ModelDraft]) -> tuple[ModelDraft, ...]:
    """Let each model be asked for by its server's id too, so that clients need no change."""
    ids = Counter(model.upstream_model for model in models.values())
    return tuple(
        replace(model, aliases=(served,))
        if (served := model.upstream_model) and ids[served] == 1 and _makes_alias(served, models)
        else model
        for model in models.values()
    )


def _makes_alias(served: str, taken: dict[str, ModelDraft]) -> bool:
    """Say whether people may ask for this id as it is: no path, no sentence, nobody's name."""
    return (
        served not in taken
        and len(served) <= _LONGEST_ALIAS
        and _ALIAS.fullmatch(served) is not None
        and not is_reserved(served)
    )
