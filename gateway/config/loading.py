"""From a file to the frozen configuration, or to every problem in it with its place.

Owns: reading `routing.yaml` and wording what the schema refuses.
Must not: read the environment itself; the caller hands it over.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engines.kinds.section import Section
from gateway.config import schema
from gateway.config.document import Document
from gateway.config.problems import ConfigError, Problem

# Discriminators and union branches that pydantic puts into an error's path; no file has them.
_BRANCHES = frozenset({"llamacpp", "remote", "str", "NotClause", "AnyOf", "tuple[str, ...]"})


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration that holds to the schema; relative paths in it start at `base`."""

    file: schema.RoutingFile
    source: str
    base: Path


def load_config(path: Path, environ: Mapping[str, str]) -> LoadedConfig:
    """Read and validate a file.

    Raises:
        ConfigError: it cannot be read, is not YAML, or breaks the schema; all problems at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ConfigError((Problem(str(path), 1, 1, f"cannot read the file: {why}"),)) from None
    return LoadedConfig(parse_config(text, str(path), environ), str(path), path.resolve().parent)


def parse_config(text: str, source: str, environ: Mapping[str, str]) -> schema.RoutingFile:
    """Validate a text; `source` is the name that problems carry.

    Raises:
        ConfigError: as for `load_config`.
    """
    document = Document(text, source, environ)
    try:
        return schema.RoutingFile.model_validate(document.value)
    except ValidationError as error:
        problems = {_problem(document, source, detail) for detail in error.errors()}
        raise ConfigError(tuple(sorted(problems))) from None


def known_keys() -> frozenset[str]:
    """Return every key that a section of the file may have."""
    return frozenset(
        field.alias or name
        for section in Section.__subclasses__()
        for name, field in section.model_fields.items()
    )


def _problem(document: Document, source: str, detail: Any) -> Problem:
    where = tuple(part for part in detail["loc"] if part not in _BRANCHES)
    line, column = document.place_of(where)
    name = str(where[-1]) if where else "the file"
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, sorted(known_keys()), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return Problem(source, line, column, f"unknown key '{name}'{hint}")
    if detail["type"] == "missing":
        return Problem(source, line, column, f"the key '{name}' is missing")
    return Problem(source, line, column, f"'{name}': {detail['msg'].lower()}")
