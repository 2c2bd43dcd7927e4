"""A JSON Schema as a tree of places: which subschemas there are, and what each says by itself.

Owns: the keywords under which subschemas stand; JSON pointers.
Must not: know llguidance; judge a schema.
"""

from collections.abc import Iterator
from typing import Any

_ONE = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_SEVERAL = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_NAMED = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})


def subschemas(schema: dict[str, Any], pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each subschema with its JSON pointer, inner ones first, the whole last."""
    for keyword, value in schema.items():
        for step, inner in _inner(keyword, value):
            if isinstance(inner, dict):
                yield from subschemas(inner, f"{pointer}/{_escaped(keyword)}{step}")
    yield pointer, schema


def alone(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a subschema that can be read outside of its document: references are left out."""
    return {key: _alone_under(key, value) for key, value in schema.items() if key != "$ref"}


def pointer_to(pointer: str, keyword: str) -> str:
    """Return the pointer of a keyword within the schema at `pointer`."""
    return f"{pointer}/{_escaped(keyword)}"


def without(schema: dict[str, Any], pointer: str) -> None:
    """Take the keyword at a pointer out of a schema."""
    *steps, keyword = [
        step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]
    ]
    inner: Any = schema
    for step in steps:
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    del inner[keyword]


def _alone_under(keyword: str, value: Any) -> Any:
    if isinstance(value, dict) and keyword in _NAMED:
        return {name: alone(v) if isinstance(v, dict) else v for name, v in value.items()}
    if isinstance(value, dict) and keyword in _ONE:
        return alone(value)
    if isinstance(value, list) and keyword in _SEVERAL:
        return [alone(v) if isinstance(v, dict) else v for v in value]
    return value


def _inner(keyword: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and keyword in _NAMED:
        yield from ((f"/{_escaped(name)}", inner) for name, inner in value.items())
    elif isinstance(value, dict) and keyword in _ONE:
        yield "", value
    elif isinstance(value, list) and keyword in _SEVERAL:
        yield from ((f"/{index}", inner) for index, inner in enumerate(value))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
