"""The API's description as one page that loads nothing and runs nothing.

Owns: how the OpenAPI document looks to a person.
Must not: say what the document does not; know a configuration.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from gateway.api.openapi import openapi_document

_URL = "http://127.0.0.1:8000"
_DEEPEST = 3  # levels of fields inside fields
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; }
code, pre { font: 0.9em/1.4 ui-monospace, monospace; }
pre { background: var(--soft); padding: 0.8rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 0.8rem 0.2rem 0; }
td { border-top: 1px solid var(--line); }
td td, td th { font-size: 0.95em; }
summary { cursor: pointer; }
"""


@functools.cache
def reference_page() -> bytes:
    """Return the page as UTF-8."""
    document = openapi_document()
    info = document["info"]
    rows = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f"<title>{escape(info['title'])}: the API</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info['summary'])}</p><p>{_text(info['description'])}</p>",
        "<p>For programs: <a href=openapi.json>openapi.json</a>.</p><nav><ul>",
        *(_entry(path, method, operation) for path, method, operation in rows),
        "</ul></nav>",
        *(_section(document, path, method, operation) for path, method, operation in rows),
        "</body></html>",
    ]
    return "\n".join(parts).encode()


def _entry(path: str, method: str, operation: Mapping[str, Any]) -> str:
    where = f"<code>{method.upper()} {escape(path)}</code>"
    return f"<li><a href=#{operation['operationId']}>{where}</a> {_text(operation['summary'])}</li>"


def _section(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> str:
    parts = [
        f"<h2 id={operation['operationId']}><code>{method.upper()} {escape(path)}</code></h2>",
        f"<p>{_text(operation['summary'])}</p>",
    ]
    for parameter in operation.get("parameters", ()):
        name, text = escape(parameter["name"]), _text(parameter["description"])
        parts.append(f"<p><code>{{{name}}}</code>: {text}</p>")
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is None:
        parts.append(_curl(path.replace("{name}", "auto"), keyed="security" not in operation))
    else:
        for name, example in body["examples"].items():
            parts.append(f"<h3>{escape(name)}</h3>")
            parts.append(_curl(path, example["value"]))
        parts.append("<h3>Fields</h3>")
        parts.append(_fields(document, body["schema"]))
    parts.append("<h3>Answers</h3><table><tr><th>status<th>meaning</tr>")
    parts += [_answer(document, status, r) for status, r in operation["responses"].items()]
    parts.append("</table>")
    return "\n".join(parts)


def _curl(path: str, body: Any = None, *, keyed: bool = True) -> str:
    lines = [f"curl {_URL}{path}"]
    if keyed:
        lines.append('-H "Authorization: Bearer $WEIGHBRIDGE_API_KEY"')
    if body is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d '{json.dumps(body, indent=2, ensure_ascii=False)}'")
    command = " \\\n  ".join(lines)
    return f"<pre>{escape(command)}</pre>"


def _answer(document: Mapping[str, Any], status: str, response: Mapping[str, Any]) -> str:
    told = _text(response["description"])
    if status == "200":
        for media, content in response["content"].items():
            table = _fields(document, content["schema"])
            told += f"<details><summary><code>{escape(media)}</code></summary>{table}</details>"
    return f"<tr><td><code>{status}</code><td>{told}</tr>"


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> str:
    """Return a table of an object's fields; objects inside are told in their rows."""
    found = _resolved(document, schema)
    if "properties" not in found:
        return f"<p>{_shape(document, found)}</p>" + "".join(_inside(document, found, depth))
    needed = found.get("required", ())
    rows = []
    for name, field in found["properties"].items():
        kind = _shape(document, field) + (", <b>required</b>" if name in needed else "")
        inside = "".join(_inside(document, field, depth)) if depth < _DEEPEST else ""
        rows.append(f"<tr><td><code>{escape(name)}</code><td>{kind}{inside}</tr>")
    return f"<table><tr><th>field<th>value</tr>{''.join(rows)}</table>"


def _inside(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> Iterator[str]:
    for one in (schema, *schema.get("anyOf", ())):
        target = one.get("items", one) if isinstance(one.get("items", one), dict) else one
        if "$ref" in target:
            table = _fields(document, target, depth + 1)
            name = escape(target["$ref"].rpartition("/")[2])
            yield f"<details><summary>{name}</summary>{table}</details>"


def _shape(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return in a few words what a value may be."""
    if "anyOf" in schema:
        return " or ".join(_shape(document, one) for one in schema["anyOf"])
    if "enum" in schema:
        return _choices(schema["enum"])
    if "const" in schema:
        return _choices([schema["const"]])
    if "$ref" in schema:
        return "object"
    kind = schema.get("type", "anything")
    if kind == "array":
        items = schema.get("items")
        kind = f"list of {_shape(document, items)}" if isinstance(items, dict) else "list"
    bounds = ", ".join(
        f"{word} {schema[key]}"
        for key, word in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "more than"),
            ("maximum", "at most"),
            ("minItems", "items: at least"),
            ("maxItems", "items: at most"),
        )
        if key in schema
    )
    return f"{kind} ({bounds})" if bounds else str(kind)


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        found: Mapping[str, Any] = document["components"]["schemas"][
            schema["$ref"].rpartition("/")[2]
        ]
        return found
    return schema


def _choices(values: Iterable[Any]) -> str:
    return ", ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values)


def _text(text: str) -> str:
    """Return text as HTML, what stands between back-ticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))
