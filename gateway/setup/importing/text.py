"""The text of a `routing.yaml` that was read out of another tool's file.

Owns: the sections' order, the comments. Must not: decide what is carried over.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.setup.importing.sheet import Sheet
from gateway.setup.writing import head
from gateway.setup.yaml_text import comment, entry, flow, item, scalar


def sheet_text(sheet: Sheet, origin: str) -> str:
    """Return the whole file."""
    lines = [*head("import", f"a configuration of {origin}"), ""]
    lines += _section("gateway", "the front door", sheet.gateway)
    lines += _entries("engines", "how each kind of engine is run or reached", sheet.engines)
    lines += _entries("models", "the names that clients may ask for", sheet.models)
    lines += _section("residency", "who is in memory; `memory: 24GiB` is a budget", sheet.residency)
    lines += _section("aliases", "more names", sheet.aliases)
    lines += _routes(sheet)
    return "\n".join([*lines, ""])


def _section(name: str, what: str, values: Mapping[str, Any]) -> list[str]:
    if not values:
        return []
    rows = [f"  {scalar(key, is_key=True)}: {flow(value)}" for key, value in values.items()]
    return [f"{name}: # {what}", *rows, ""]


def _entries(name: str, what: str, entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [line for key, value in entries.items() for line in entry(key, value, 2)]
    return [f"{name}: # {what}", *lines, ""]


def _routes(sheet: Sheet) -> Iterator[str]:
    if not sheet.routes:
        text = "Requests to `auto` or without a model go to the model that scores best for them."
        yield from comment(f"{text} Add `routes:` to say it yourself.", 0)
        return
    yield from comment("Names that mean several models; `auto` itself goes by scores.", 0)
    yield "routes:"
    for rule in sheet.routes:
        yield from item(rule, 2)
