"""Tool calls whose parameters are elements, as a grammar.

Owns: which schemas can be taken apart into parameters; a function whose schema cannot is called in
JSON within the same marks, which readers take too.
Must not: know families or read calls: `speech` does.
"""

import json
from collections.abc import Mapping
from typing import Any

from engines.llamacpp.grammar.calls import Rules, several, spelled, text_up_to
from engines.llamacpp.grammar.wish import Calls, Part
from engines.llamacpp.speech.bare import TEXT, kinds_of
from engines.llamacpp.speech.form import Elements

# What a schema may say that is held to when each parameter is held to its own.
_OF_OBJECTS = frozenset(
    {"$defs", "$schema", "additionalProperties", "definitions", "description", "properties"}
    | {"required", "title", "type"}
)
# Some families write a line feed between the parts, some none.
_GAP = "/\\n?/"
_OF_TEXTS = frozenset({"const", "default", "description", "enum", "examples", "title", "type"})


def elements_rules(calls: Calls, how: Elements, marks: Mapping[str, int]) -> Rules:
    """Return rules for calls, the first called `calls`."""
    written: list[str] = []
    rules: list[str] = []
    parts: dict[str, Part] = {}
    for index, (name, part) in enumerate(zip(calls.names, calls.parameters, strict=True)):
        schema = json.loads(part.text)
        if _comes_apart(schema, how):
            one = _Function(index, part, schema, how, marks)
            written.append(one.call(name))
            rules += one.rules
            parts |= one.parts
        else:
            written.append(_in_json(index, name, how, marks))
            parts[f"arguments_{index}"] = part
    return Rules("\n".join([*several(written, calls.most, _GAP, ("", "")), *rules]), parts)


class _Function:
    """One function's call, and the rules and parts that its parameters need."""

    def __init__(
        self,
        index: int,
        part: Part,
        schema: dict[str, Any],
        how: Elements,
        marks: Mapping[str, int],
    ) -> None:
        self.rules: list[str] = []
        self.parts: dict[str, Part] = {}
        self._index = index
        self._part = part
        self._schema = schema
        self._how = how
        self._marks = marks

    def call(self, name: str) -> str:
        """Return the expression of a call: its parameters in the schema's order."""
        how = self._how
        required = self._schema.get("required", ())
        parameters = [
            self._parameter(at, key) + ("" if key in required else "?")
            for at, key in enumerate(self._schema.get("properties", {}))
        ]
        pieces = [
            self._spelled(how.openings[0]),
            " ".join([self._spelled(how.before + name + how.behind), *parameters]),
            self._spelled(how.end),
            self._spelled("".join(how.closings[:1])),
        ]
        return f" {_GAP} ".join(filter(None, pieces))

    def _parameter(self, at: int, key: str) -> str:
        how, name = self._how, f"parameter_{self._index}_{at}"
        schema = self._schema["properties"][key]
        is_text = kinds_of(self._schema, key) == TEXT
        mark = next(mark for mark, text in how.kinds if text in (None, is_text))
        head = self._spelled(how.key + key + mark)
        if how.value:
            head += f" {_GAP} {self._spelled(how.value)}"
        line = _GAP if how.lines else ""
        end = self._spelled(how.value_end)
        if not is_text:
            whole = {**_definitions(self._schema), **schema}
            where = f"{self._part.where}.properties.{key}"
            loose = None if self._part.loose is None else "{}"
            self.parts[name] = Part("json", where, json.dumps(whole), loose)
            value = f"@{name} {line} {end}"
        elif texts := _texts(schema):
            value = f"({' | '.join(map(json.dumps, texts))}) {line} {end}"
        else:
            value, rule = text_up_to(name, how.value_end, self._marks)
            self.rules.append(rule)
        return f"({_GAP} {head} {line} {value})"

    def _spelled(self, text: str) -> str:
        return spelled(text, self._marks)


def _in_json(index: int, name: str, how: Elements, marks: Mapping[str, int]) -> str:
    head = how.openings[0] + '\n{"name": ' + json.dumps(name) + ', "arguments": '
    tail = "}\n" + ("".join(how.closings[:1]) or how.end)
    return f"{spelled(head, marks)} @arguments_{index} {spelled(tail, marks)}"


def _comes_apart(schema: Any, how: Elements) -> bool:
    """Say whether a schema is nothing but parameters, each by itself, that can be written."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return (
        schema.keys() <= _OF_OBJECTS
        and schema.get("type", "object") == "object"
        and isinstance(properties, dict)
        and isinstance(required, list)
        and all(isinstance(key, str) and key in properties for key in required)
        and all(_can_be_written(schema, key, how) for key in properties)
    )


def _can_be_written(schema: dict[str, Any], key: str, how: Elements) -> bool:
    own = schema["properties"][key]
    if not isinstance(own, dict) or not key or any(mark[0] in key for mark, _ in how.kinds):
        return False
    if kinds_of(schema, key) != TEXT:
        return True
    if not isinstance(own.get("enum", []), list):
        return False
    texts = _texts(own)
    return own.keys() <= _OF_TEXTS and all(
        isinstance(text, str) and text == text.strip("\n") and how.value_end not in text
        for text in texts
    )


def _texts(schema: dict[str, Any]) -> list[Any]:
    """Return the only texts that a schema allows; none where it allows any."""
    return [schema["const"]] if "const" in schema else list(schema.get("enum") or ())


def _definitions(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: schema[key] for key in ("$defs", "definitions") if key in schema}
