"""What bare text means as a parameter: what kinds of value its schema lets it be.

Owns: reading a schema's `type` in all its disguises; from text to JSON.
Must not: hold values to a schema: an engine does that while they are written, or a client.
"""

import json
from types import NoneType
from typing import Any, TypeAlias

Kinds: TypeAlias = frozenset[str]

TEXT: Kinds = frozenset({"string"})
ANY: Kinds = frozenset({"string", "number", "integer", "boolean", "null", "array", "object"})
JSON: Kinds = ANY - TEXT
# Templates write values back as Python does, and models learn it from them.
_PYTHON = {"True": "true", "False": "false", "None": "null"}
_NAMES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    NoneType: "null",
}
# A schema may lead round and round.
_MOST_SCHEMAS = 64


def kinds_of(parameters: Any, key: str) -> Kinds:
    """Return what kinds of value a function's parameter may have, any where nothing is said."""
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    todo = [properties.get(key) if isinstance(properties, dict) else None]
    found: Kinds = frozenset()
    for _ in range(_MOST_SCHEMAS):
        schema = todo.pop()
        if not isinstance(schema, dict):
            return ANY
        inner = _instead(schema, parameters)
        todo += inner
        if not inner:
            found |= _own_kinds(schema)
        if not todo:
            return found or ANY
    return ANY


def json_of(text: str, kinds: Kinds) -> str:
    """Return a bare text as JSON: a value of one of these kinds if it can be read as one.

    Where text is among them, it is one of the others only if it says so itself: `5`, `[1]`. What
    nothing can be made of is text all the same, so that nothing is lost.
    """
    if kinds != TEXT:
        bare = text.strip()
        bare = _PYTHON.get(bare, bare)
        kind = _kind_of(bare)
        if kind in kinds or (kind is not None and "string" not in kinds):
            return bare
    return json.dumps(text, ensure_ascii=False)


def _kind_of(text: str) -> str | None:
    """Return what kind of JSON a text is; None where it is none."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return kind(value)


def kind(value: Any) -> str:
    """Return the name that JSON Schema has for a value's type."""
    # A truth value is an integer to Python, so it comes first.
    return next(name for type_, name in _NAMES.items() if isinstance(value, type_))


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and its like


def _instead(schema: dict[str, Any], root: Any) -> list[Any]:
    """Return the schemas that say what kinds there are where this one itself does not."""
    if "type" in schema:
        return []
    if isinstance(schema.get("$ref"), str):
        return [_target(schema["$ref"], root)]
    lists = (schema.get(keyword) for keyword in ("anyOf", "oneOf", "allOf"))
    return [one for ones in lists if isinstance(ones, list) for one in ones]


def _own_kinds(schema: dict[str, Any]) -> Kinds:
    given = schema.get("type")
    names = [given] if isinstance(given, str) else given
    if isinstance(names, list):
        named = ANY & {name for name in names if isinstance(name, str)}
        return named | {"integer"} if "number" in named else named
    if "const" in schema:
        return frozenset({kind(schema["const"])})
    if isinstance(schema.get("enum"), list):
        return frozenset(map(kind, schema["enum"]))
    return ANY


def _target(reference: str, root: Any) -> Any:
    """Return what a reference within the same schema points to; None where that is nothing."""
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found if reference.startswith("#") else None
