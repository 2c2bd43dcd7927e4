"""Write docs/configuration.md: the template beside this file, with tables from the code.

    python tools/docs/configuration.py            writes the file
    python tools/docs/configuration.py --check    exits with 1 when the file is not current

Owns: how a key's type, default and description look in a table.
Must not: describe a key; `gateway.config.schema` and `engines.kinds` do.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from engines.kinds.section import Section
from gateway.config.schema import RoutingFile
from gateway.config.vocabulary import LANGUAGES, TASKS
from gateway.domain import UNDECIDED
from gateway.environment import VARIABLES

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATE = Path(__file__).resolve().parent / "configuration.template.md"
TARGET = ROOT / "docs" / "configuration.md"

_STALE = "docs/configuration.md is stale; run: python tools/docs/configuration.py"
_PLACE = re.compile(r"^<!-- (\w+) -->$", re.MULTILINE)
_ANY = "mapping"
_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true` or `false`",
    "array": "list of ",
    "object": "mapping of names to ",
}


def reference(template: str) -> str:
    """Return the whole page.

    Raises:
        ValueError: the template has no place for a section of the file, or one for none.
    """
    sections = {section.__name__: section for section in _sections(RoutingFile)}
    parts = {name: _table(section) for name, section in sections.items()}
    variables = [(f"`{name}`", what) for name, what in VARIABLES.items()]
    parts["environment"] = _rows(("variable", "what it does"), variables)
    parts["tasks"] = ", ".join(f"`{task}`" for task in TASKS if task != UNDECIDED) + "."
    parts["languages"] = ", ".join(f"`{code}` {name}" for code, name in LANGUAGES.items()) + "."
    places = set(_PLACE.findall(template))
    if places != set(parts):
        raise ValueError(f"the template and the schema differ in {sorted(places ^ set(parts))}")
    return _PLACE.sub(lambda found: parts[found.group(1)], template)


def _sections(root: type[Section]) -> list[type[Section]]:
    """Return the sections that a schema reaches, each once."""
    names = {root.__name__, *root.model_json_schema().get("$defs", {})}
    return [section for section in _below(Section) if section.__name__ in names]


def _below(section: type[Section]) -> Iterator[type[Section]]:
    for one in section.__subclasses__():
        yield one
        yield from _below(one)


def _table(section: type[Section]) -> str:
    schema = section.model_json_schema(by_alias=True)
    rows: list[tuple[str, ...]] = []
    for name, field in section.model_fields.items():
        key = field.alias or name
        shape = _shape(schema["properties"][key])
        default = _default(field.default, required=field.is_required())
        rows.append((f"`{key}`", shape, default, field.description or ""))
    return _rows(("key", "type", "default", "what it does"), rows)


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = (head, tuple("---" for _ in head), *rows)
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _shape(schema: Mapping[str, Any]) -> str:
    """Return a JSON schema's type in words: `whole number, 1 to 64`, `text or list of text`."""
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        shapes = [_shape(one) for one in branches if one.get("type") != "null"]
        return _or(sorted(dict.fromkeys(shapes), key=lambda shape: shape.startswith(("`", _ANY))))
    if "$ref" in schema:
        return _mapping(schema["$ref"].rpartition("/")[2])
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if values:
        return _or([f"`{value}`" for value in values])
    kind = str(schema.get("type"))
    inner = schema.get("items") or schema.get("additionalProperties")
    return _TYPES[kind] + (_shape(inner) if inner else _bounds(schema))


def _mapping(name: str) -> str:
    """Return how a section is written where its docstring begins with that, else `mapping`."""
    section = next(one for one in _below(Section) if one.__name__ == name)
    written = re.match(r"`\{[^`]+`", section.__doc__ or "")
    return written.group() if written else _ANY


def _or(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _bounds(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least:,} to {most:,}"
    above = schema.get("exclusiveMinimum")
    words = [f"at least {least:,}"] if least is not None else []
    words += [f"more than {above:,}"] if above is not None else []
    words += [f"at most {most:,}"] if most is not None else []
    return "".join(f", {word}" for word in words)


def _default(value: object, *, required: bool) -> str:
    if required:
        return "required"
    if value is None or value is PydanticUndefined or value == ():
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main(argv: list[str]) -> int:
    """Write or compare; return the exit status."""
    parser = argparse.ArgumentParser(description="Write docs/configuration.md.")
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    parser.add_argument("--page", type=Path, default=TARGET, help="another place for the page")
    options = parser.parse_args(argv)
    page: Path = options.page
    try:
        text = reference(TEMPLATE.read_text(encoding="utf-8"))
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 1
    if not options.check:
        page.write_text(text, encoding="utf-8")
    elif not page.is_file() or page.read_text(encoding="utf-8") != text:
        print(_STALE, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
