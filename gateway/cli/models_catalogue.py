"""The catalogue as rows: for `weighbridge models --catalogue`, and its words for licences.

Owns: the columns, counts as people read them, what a licence holds back in a few words.
Must not: know a fact; the catalogue does.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from engines.families import Entry, Licence

CATALOGUE_HEAD = (
    "name",
    "parameters",
    "context",
    "licence",
    "class",
    "conditions",
    "languages",
    "strengths",
)


def short_count(count: object) -> str:
    """Return a count as people read it (`7.61B`, `131,072` stays whole below a million)."""
    if isinstance(count, bool) or not isinstance(count, int):
        return "unknown"
    for size, letter in ((10**9, "B"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.2f}".rstrip("0").rstrip(".") + letter
    return f"{count:,}"


def conditions_of(licence: Licence) -> str:
    """Return in a few words what a licence holds back; its note and the rest are in the JSON."""
    told = []
    if licence.commercial == "no":
        told.append("no commercial use")
    elif licence.commercial == "on-request":
        told.append("ask before commercial use")
    elif licence.commercial is None:
        told.append("commercial use unknown")
    if licence.monthly_users is not None:
        told.append(f"<= {short_count(licence.monthly_users)} users a month")
    elif not licence.unlimited_users:
        told.append("user limit unknown")
    if licence.excluded_regions is None:
        told.append("regions unknown")
    elif licence.excluded_regions:
        told.append(f"not {', '.join(licence.excluded_regions)}")
    if licence.attribution:
        told.append(f'show "{licence.attribution}"')
    if not told and licence.licence_class != "open":
        told.append("see the licence")
    return "; ".join(told) or "-"


def meets(entry: Entry, words: Iterable[str]) -> bool:
    """Say whether an entry has all these words."""
    licence = entry.licence
    text = " ".join(
        (
            entry.name,
            entry.family,
            licence.id,
            licence.licence_class,
            *entry.strengths,
            *entry.capabilities,
            *(entry.languages or ()),
        )
    ).lower()
    return all(word.lower() in text for word in words)


def entry_dict(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON has it."""
    facts: dict[str, Any] = msgspec.to_builtins(entry)
    return facts | {"capabilities": entry.capabilities}


def entry_cells(entry: Entry) -> tuple[str, ...]:
    """Return an entry as a line of the table."""
    size = short_count(entry.parameters)
    if entry.active_parameters != entry.parameters:
        size += f" ({short_count(entry.active_parameters)} active)"
    context = tokens(entry.context_tokens)
    if entry.extended_context_tokens is not None:
        context += f" ({tokens(entry.extended_context_tokens)} extended)"
    languages = "unknown" if entry.languages is None else str(len(entry.languages))
    return (
        entry.name,
        size,
        context,
        entry.licence.id,
        entry.licence.licence_class,
        conditions_of(entry.licence),
        languages,
        ", ".join(entry.strengths),
    )


def tokens(count: object) -> str:
    """Return a number of tokens as people read it."""
    return f"{count:,}" if isinstance(count, int) else "unknown"
