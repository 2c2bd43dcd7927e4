"""What bare text means as a parameter, by the schema that its function has for it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.speech.bare import ANY, JSON, TEXT, json_of, kinds_of

STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        (STRING, {"string"}),
        ({"type": "integer"}, {"integer"}),
        ({"type": "number"}, {"integer", "number"}),
        ({"type": ["string", "null"]}, {"string", "null"}),
        ({"enum": ["a", "b"]}, {"string"}),
        ({"enum": [1, "b", None]}, {"integer", "string", "null"}),
        ({"const": True}, {"boolean"}),
        ({"anyOf": [STRING, {"type": "null"}]}, {"string", "null"}),
        ({"oneOf": [{"anyOf": [STRING]}, {"type": "array"}]}, {"string", "array"}),
        ({"allOf": [{"$ref": "#/$defs/Text"}]}, {"string"}),
        ({"$ref": "#/$defs/Text"}, {"string"}),
        ({"$ref": "#/$defs/a~1b"}, {"object"}),
        ({"$ref": "#/$defs/Around"}, ANY),
        ({"$ref": "#/$defs/Nowhere"}, ANY),
        ({"$ref": "http://elsewhere/x"}, ANY),
        ({"type": "colour"}, ANY),
        ({"description": "Anything."}, ANY),
        (True, ANY),
        (None, ANY),
    ],
)
def test_a_schema_says_what_kinds_there_are(schema: Any, kinds: set[str]) -> None:
    parameters = {
        "properties": {"x": schema},
        "$defs": {
            "Text": STRING,
            "a/b": {"type": "object"},
            "Around": {"anyOf": [{"$ref": "#/$defs/Around"}, {"$ref": "#/$defs/Around"}]},
        },
    }
    assert kinds_of(parameters, "x") == kinds


@pytest.mark.parametrize("parameters", [None, [], {}, {"properties": []}, {"properties": {}}])
def test_where_nothing_is_said_any_kind_will_do(parameters: Any) -> None:
    assert kinds_of(parameters, "x") == ANY


@pytest.mark.parametrize(
    ("text", "kinds", "value"),
    [
        ("5", TEXT, "5"),
        ('"5"', TEXT, '"5"'),
        (" a\n", TEXT, " a\n"),
        (" 5\n", {"integer"}, 5),
        ("5.5", {"integer"}, 5.5),
        ("True", {"boolean"}, True),
        ("None", {"string", "null"}, None),
        ("None", TEXT, "None"),
        ("null", {"string", "null"}, None),
        ("5", {"string", "null"}, "5"),
        ('"5"', {"string", "null"}, "5"),
        ("5", ANY, 5),
        ('{"a": [1]}', ANY, {"a": [1]}),
        ("five", {"integer"}, "five"),
        ("NaN", {"number"}, "NaN"),
        ("{'a': 1}", JSON, "{'a': 1}"),
        ("[" * 100_000, JSON, "[" * 100_000),
        ("", ANY, ""),
    ],
)
def test_bare_text_is_what_it_may_be(text: str, kinds: set[str], value: Any) -> None:
    found = json.loads(json_of(text, frozenset(kinds)))
    assert (found, type(found)) == (value, type(value))


@given(st.text(), st.sets(st.sampled_from(sorted(ANY)), min_size=1))
def test_any_text_becomes_json_and_nothing_is_lost(text: str, kinds: set[str]) -> None:
    value = json.loads(json_of(text, frozenset(kinds)))
    if kinds == {"string"}:
        assert value == text
