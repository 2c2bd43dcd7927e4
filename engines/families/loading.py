"""From the data files to a catalogue.

Owns: the files' shape, and the rule that every fact is stated: in the model's row, else in its
group, else as "unknown". Must not: match names or fill gaps by itself.
"""

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from engines.families.catalogue import Catalogue
from engines.families.entry import (
    CatalogueProblem,
    Commercial,
    Entry,
    Licence,
    LicenceClass,
    Strength,
    Template,
)

Unknown: TypeAlias = Literal["unknown"]
_LICENCES = "licences.toml"


class _Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts that a group or a row may state."""

    licence: str | UnsetType = UNSET
    languages: tuple[str, ...] | Unknown | UnsetType = UNSET
    strengths: tuple[Strength, ...] | UnsetType = UNSET
    architecture: str | UnsetType = UNSET
    template: Template | Literal["none", "unknown"] | UnsetType = UNSET
    context_tokens: int | Unknown | UnsetType = UNSET
    extended_context_tokens: int | Literal["none", "unknown"] | UnsetType = UNSET
    chat: bool | Unknown | UnsetType = UNSET
    embeddings: bool | Unknown | UnsetType = UNSET
    vision: bool | Unknown | UnsetType = UNSET
    tools: bool | Unknown | UnsetType = UNSET
    source: str | UnsetType = UNSET


class _Row(_Facts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model; `base` are the hub ids of its base model, which gets an entry `NAME-base`."""

    name: str
    parameters: int | Unknown
    active_parameters: int | Unknown | UnsetType = UNSET
    repos: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    base_context_tokens: int | Unknown | UnsetType = UNSET
    ollama: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    gguf: tuple[str, ...] = ()


class _Group(_Facts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models that share facts."""

    models: tuple[_Row, ...]


class _Sheet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One family's file."""

    family: str
    group: tuple[_Group, ...]


class _LicenceRow(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"licence_class": "class"},
):
    """One licence as the file states it."""

    name: str
    url: str
    licence_class: LicenceClass
    spdx: str  # or "none"
    commercial: Commercial | Unknown
    monthly_users: int | Literal["unlimited", "unknown"]
    excluded_regions: tuple[str, ...] | Unknown
    attribution: str  # or "none" or "unknown"
    note: str | UnsetType = UNSET
    hub: tuple[str, ...] = ()


class _LicenceSheet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All licences; `open_on_hub` are identifiers of cards that mean an open licence."""

    open_on_hub: tuple[str, ...]
    licence: dict[str, _LicenceRow]


def load_catalogue(folder: Traversable | None = None) -> Catalogue:
    """Read the data files; the caller keeps the result (a few milliseconds to build).

    Raises:
        CatalogueProblem: a file is not as it should be; the message says where.
    """
    place = folder or files("engines.families") / "data"
    sheet = _read(place / _LICENCES, _LicenceSheet)
    licences = {name: _licence(name, row) for name, row in sheet.licence.items()}
    sheets = sorted(
        (
            file
            for file in place.iterdir()
            if file.name.endswith(".toml") and file.name != _LICENCES
        ),
        key=lambda file: file.name,
    )
    entries = [entry for file in sheets for entry in _entries(file, licences)]
    return Catalogue(entries, licences.values(), sheet.open_on_hub)


def _licence(name: str, row: _LicenceRow) -> Licence:
    users = row.monthly_users
    return Licence(
        id=name,
        name=row.name,
        url=row.url,
        licence_class=row.licence_class,
        spdx=_known(row.spdx),
        commercial=_known(row.commercial),
        monthly_users=users if isinstance(users, int) else None,
        unlimited_users=users == "unlimited",
        excluded_regions=_known(row.excluded_regions),
        attribution=_known(row.attribution),
        note=None if row.note is UNSET else row.note,
        hub=row.hub,
    )


def _entries(file: Traversable, licences: Mapping[str, Licence]) -> Iterator[Entry]:
    sheet = _read(file, _Sheet)
    for group in sheet.group:
        for row in group.models:
            entry = _entry(sheet.family, row, _Stated(file.name, row, group), licences)
            yield entry
            if row.base:
                yield _base_of(entry, row)


def _entry(family: str, row: _Row, stated: "_Stated", licences: Mapping[str, Licence]) -> Entry:
    licence = stated("licence")
    if licence not in licences:
        raise stated.problem(f"the licence {licence!r} is not in {_LICENCES}")
    parameters = _known(row.parameters)
    active = row.active_parameters
    return Entry(
        name=row.name,
        family=family,
        is_base=False,
        parameters=parameters,
        active_parameters=parameters if active is UNSET else _known(active),
        context_tokens=_known(stated("context_tokens")),
        extended_context_tokens=_known(stated("extended_context_tokens")),
        licence=licences[licence],
        languages=_known(stated("languages")),
        strengths=stated("strengths"),
        chat=_known(stated("chat")),
        embeddings=_known(stated("embeddings")),
        vision=_known(stated("vision")),
        tools=_known(stated("tools")),
        template=_known(stated("template")),
        architecture=_known(stated("architecture")),
        source=stated("source"),
        repos=row.repos,
        ollama=row.ollama,
        aliases=row.aliases,
        gguf=row.gguf,
    )


def _base_of(entry: Entry, row: _Row) -> Entry:
    """Return the entry of the base model: as the tuned one, but it does not chat."""
    context = row.base_context_tokens
    return msgspec.structs.replace(
        entry,
        name=f"{entry.name}-base",
        is_base=True,
        context_tokens=entry.context_tokens if context is UNSET else _known(context),
        extended_context_tokens=entry.extended_context_tokens if context is UNSET else None,
        chat=False,
        tools=False,
        template=None,
        repos=row.base,
        gguf=(),
        ollama=(),
        aliases=(),
    )


class _Stated:
    """Looks a fact up: in the row, else in its group."""

    def __init__(self, file: str, row: _Row, group: _Group) -> None:
        self._file, self._row, self._group = file, row, group

    def __call__(self, fact: str) -> Any:
        for place in (self._row, self._group):
            value = getattr(place, fact)
            if value is not UNSET:
                return value
        raise self.problem(f'`{fact}` is missing: state it, or write "unknown"')

    def problem(self, what: str) -> CatalogueProblem:
        return CatalogueProblem(f"{self._file}: {self._row.name}: {what}")


def _known(value: Any) -> Any:
    return None if value in ("unknown", "none") else value


_Shape = _Sheet | _LicenceSheet


def _read(file: Traversable, shape: type) -> Any:
    try:
        return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), shape)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as problem:
        raise CatalogueProblem(f"{file.name}: {problem}") from problem
