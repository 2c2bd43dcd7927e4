"""From a file to the frozen configuration, or to every problem in it with its place.

Owns: reading `routing.yaml`, the order of its checks, wording what the schema refuses.
Must not: read the environment itself; the caller hands it over.
"""

import difflib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engines.families import load_catalogue
from engines.kinds.section import Section
from gateway.config import document, schema
from gateway.config.checks import errors_in, warnings_in
from gateway.config.document import Document, Places
from gateway.config.finding import Finding, missing
from gateway.config.problems import ConfigError, Problem

# What pydantic calls a value of the wrong shape -> what the shape is called in YAML.
_SHAPES = {
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
}


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration that can be used; relative paths in it start at `base`.

    `warnings` are what is surely not meant though it can be used; `places` tell where each part of
    the file stands.
    """

    file: schema.RoutingFile
    source: str
    base: Path
    warnings: tuple[Problem, ...] = ()
    places: Places = field(default_factory=Places, repr=False, compare=False)


def load_config(path: Path, environ: Mapping[str, str]) -> LoadedConfig:
    """Read and check a file.

    Raises:
        ConfigError: it cannot be read, is not YAML, breaks the schema, or contradicts itself; all
            problems that can be told at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ConfigError((Problem(str(path), 1, 1, f"cannot read the file: {why}"),)) from None
    return _checked(text, str(path), environ, path.resolve().parent)


def parse_config(text: str, source: str, environ: Mapping[str, str]) -> schema.RoutingFile:
    """Check a text; `source` is the name that problems carry.

    Raises:
        ConfigError: as for `load_config`.
    """
    return _checked(text, source, environ, Path()).file


def known_keys() -> frozenset[str]:
    """Return every key that a section of the file may have."""
    return frozenset(key for section in Section.__subclasses__() for key in _keys_of(section))


def _checked(text: str, source: str, environ: Mapping[str, str], base: Path) -> LoadedConfig:
    tree = Document(text, source, environ)
    try:
        file = schema.RoutingFile.model_validate(tree.value)
    except ValidationError as error:
        raise ConfigError(tuple(sorted(_refusals(tree, source, error)))) from None
    errors = errors_in(file, functools.cache(load_catalogue))
    if errors:
        raise ConfigError(_problems(errors, source, tree.places))
    warnings = _problems(warnings_in(file), source, tree.places)
    return LoadedConfig(file, source, base, warnings, tree.places)


def _problems(findings: Iterable[Finding], source: str, places: Places) -> tuple[Problem, ...]:
    found = {Problem(source, *places.of(one.path), one.message) for one in findings}
    return tuple(sorted(found))


def _refusals(tree: Document, source: str, error: ValidationError) -> Iterator[Problem]:
    """Yield what the schema refuses, once for each place and key."""
    details = [(_path_in(tree.value, detail), detail) for detail in error.errors()]
    paths = [where for where, detail in details if detail["type"] not in _SHAPES]
    told: dict[tuple[document.Path, str], list[str]] = {}
    for where, detail in details:
        # Of a mapping that may be text or a list too, only what is wrong in the mapping is told.
        if detail["type"] in _SHAPES and any(path[: len(where)] == where for path in paths):
            continue
        head, tail = _worded(where, detail)
        told.setdefault((where, head), []).append(tail)
    for (where, head), tails in told.items():
        # Where a value may be one thing or another, each of them says why it is not it.
        yield Problem(source, *tree.places.of(where), head + ", or ".join(dict.fromkeys(tails)))


def _worded(where: document.Path, detail: Any) -> tuple[str, str]:
    """Return what is wrong in two parts; those with one first part at one place are joined."""
    kind, context = detail["type"], detail.get("ctx", {})
    name = str(where[-1]) if where else ""
    if kind == "extra_forbidden":
        return f"unknown key '{name}'{_key_hint(name)}", ""
    if kind == "missing":
        return f"the key '{name}' is missing", ""
    if kind == "union_tag_not_found":
        return f"the key {context['discriminator']} is missing", ""
    if kind == "union_tag_invalid":
        kinds = re.findall(r"'([^']+)'", context["expected_tags"])
        return missing("kind of engine", context["tag"], kinds), ""
    head = f"'{name}': " if name else "the file: "
    if kind in _SHAPES:
        return f"{head}this should be ", _SHAPES[kind]
    message = detail["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    message = message[:1].lower() + message[1:]
    return head, re.sub("^dictionary", "the mapping", re.sub("^tuple", "the list", message))


def _key_hint(name: str) -> str:
    if name in known_keys():
        owners = [section for section in Section.__subclasses__() if name in _keys_of(section)]
        places = dict.fromkeys(_place_in_file(section) for section in owners)
        return f" here; it belongs to {' or '.join(places)}"
    close = difflib.get_close_matches(name, sorted(known_keys()), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _place_in_file(section: type[Section]) -> str:
    """Return the first code span of a section's docstring, which says where it stands."""
    found = re.search(r"`[^`]+`", section.__doc__ or "")
    return found.group() if found else section.__name__


def _keys_of(section: type[Section]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in section.model_fields.items())


def _path_in(tree: Any, detail: Any) -> document.Path:
    """Return the path of an error in the file: pydantic's also names branches of unions."""
    path: list[str | int] = []
    node = tree
    location = detail["loc"]
    for part in location:
        if isinstance(node, dict) and part in node:
            node = node[str(part)]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        elif detail["type"] != "missing" or part != location[-1]:
            continue
        path.append(part)
    return (*path, "kind") if detail["type"] == "union_tag_invalid" else tuple(path)
