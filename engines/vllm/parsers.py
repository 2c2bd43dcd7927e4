"""Which parsers vLLM reads a model's calls and thoughts with.

Owns: the choice by family (`parsers.toml`). Must not: know how a parser works.
"""

import tomllib
from dataclasses import dataclass
from importlib.resources import files

import msgspec

from engines.families import Entry


@dataclass(frozen=True, slots=True)
class Parsers:
    """Names that vLLM knows; None where it is to parse nothing."""

    tools: str | None = None
    reasoning: str | None = None


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    begins: tuple[str, ...]
    tools: str | None = None
    reasoning: str | None = None


def parsers_for(entry: Entry | None) -> Parsers:
    """Return the parsers of a model of the catalogue: none where the catalogue has no such model.

    A parser that is not the model's own cuts its text, so none is guessed.
    """
    if entry is None or entry.is_base:
        return Parsers()
    rows = _rows()
    matching = [
        (begin, row) for row in rows for begin in row.begins if entry.name.startswith(begin)
    ]
    if not matching:
        return Parsers()
    row = max(matching, key=lambda match: len(match[0]))[1]
    return Parsers(
        tools=None if entry.tools is False else row.tools,
        reasoning=row.reasoning if "reasoning" in entry.strengths else None,
    )


def all_parsers() -> tuple[Parsers, ...]:
    """Return every pair that the table has."""
    return tuple(Parsers(row.tools, row.reasoning) for row in _rows())


def _rows() -> tuple[_Row, ...]:
    text = (files("engines.vllm") / "parsers.toml").read_text(encoding="utf-8")
    return tuple(msgspec.convert(tomllib.loads(text), dict[str, _Row]).values())
