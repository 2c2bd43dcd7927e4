"""A schema that cannot be held is refused by the keyword and its place."""

import json
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from engines.llamacpp.grammar import reading
from engines.llamacpp.grammar.__main__ import tokenizer_of
from engines.llamacpp.grammar.draft import Draft, Flaw
from engines.llamacpp.grammar.reading import flaw as flaw_of
from engines.llamacpp.grammar.reading import grammar_of
from engines.llamacpp.grammar.schema import subschemas
from engines.llamacpp.grammar.trial import Words
from engines.llamacpp.grammar.wish import Kind


@pytest.fixture(scope="module")
def tokenizer() -> LLTokenizer:
    return tokenizer_of(Words(512, {"<|end|>": 0, "<think>": 7}, [0]))


def flaw(kind: Kind, text: str, tokenizer: LLTokenizer) -> Flaw | None:
    return flaw_of([Draft("part", kind, text)], tokenizer)


def inside(schema: Any) -> dict[str, Any]:
    """Return a schema that has another one at `/properties/a~1b/items`."""
    return {"type": "object", "properties": {"a/b": {"type": "array", "items": schema}}}


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"not": {"type": "string"}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "array", "contains": {"type": "string"}}, "contains"),
        ({"type": "object", "dependentRequired": {"a": ["b"]}}, "dependentRequired"),
        ({"type": "object", "propertyNames": {"maxLength": 3}}, "propertyNames"),
        ({"type": "object", "unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"if": {"type": "string"}, "then": {"maxLength": 3}}, "if"),
        ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "oneOf"),
        ({"type": "string", "format": "json-pointer"}, "format"),
        ({"type": "string", "pattern": "(?=a)b"}, "pattern"),
        ({"type": "string", "pattern": "("}, "pattern"),
        ({"type": "text"}, "type"),
        ({"type": "object", "properties": []}, "properties"),
        ({"type": "number", "multipleOf": 0.000012345}, "multipleOf"),
        ({"$ref": "#/$defs/nowhere"}, "$ref"),
        ({"$ref": "https://example.com/schema"}, "$ref"),
        ({"type": "object", "minProperties": 3}, "minProperties"),
    ],
)
def test_the_keyword_and_its_place_are_named(
    tokenizer: LLTokenizer, schema: dict[str, Any], keyword: str
) -> None:
    found = flaw("json", json.dumps(inside(schema)), tokenizer)
    assert found is not None
    assert (found.keyword, found.pointer) == (keyword, f"/properties/a~1b/items/{keyword}")
    assert found.why


def test_a_rule_that_a_grammar_lacks_is_named(tokenizer: LLTokenizer) -> None:
    found = flaw("grammar", "root ::= foo", tokenizer)
    assert found is not None
    assert found.why == "Rule 'foo' not found"


def test_a_flaw_in_a_definition_is_found_there_and_not_where_it_is_used(
    tokenizer: LLTokenizer,
) -> None:
    schema = {"$ref": "#/$defs/x", "$defs": {"x": {"type": "array", "contains": {}}}}
    found = flaw("json", json.dumps(schema), tokenizer)
    assert found is not None
    assert found.pointer == "/$defs/x/contains"


def test_words_that_are_no_keywords_where_they_stand_are_not_blamed(
    tokenizer: LLTokenizer,
) -> None:
    schema = {
        "type": "object",
        "properties": {"not": {"const": {"contains": 1}}, "if": {"type": "string"}},
        "default": {"uniqueItems": True},
        "title": "A",
        "x-own": {"not": {}},
    }
    assert flaw("json", json.dumps(schema), tokenizer) is None


def test_what_nothing_satisfies_is_refused(tokenizer: LLTokenizer) -> None:
    schema = {"type": "integer", "minimum": 5, "maximum": 3}
    found = flaw("json", json.dumps(schema), tokenizer)
    assert found is not None
    assert found.keyword in ("minimum", "maximum")
    assert flaw("json", '{"allOf": [{"$ref": "#"}]}', tokenizer) == Flaw(
        "no answer can satisfy it", "part"
    )


def test_a_clients_own_options_cannot_loosen_what_is_held(tokenizer: LLTokenizer) -> None:
    schema = {"x-guidance": {"lenient": True}, "type": "array", "uniqueItems": True}
    assert flaw("json", json.dumps(schema), tokenizer) is not None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", '{"type": "object", "minProperties": 1}'),
        ("json", '{"type": "array", "prefixItems": [{"type": "null"}], "items": false}'),
        ("json", '{"properties": {"a": {"type": "string", "format": "password"}}}'),
        ("json", '{"$defs": {"a": {"format": "int64"}}, "items": {"$ref": "#/$defs/a"}}'),
        ("json", '{"properties": {"format": {"const": {"format": "x"}}}}'),
        ("regex", "a/b[/]\n\\/"),
        ("choice", '["a", "\\u00e9\\n\\"", "\\ud83d\\ude00"]'),
        ("grammar", 'start: "a" <think> <[7]>'),
        ("grammar", 'root ::= "a" | [0-9]+'),
    ],
)
def test_what_can_be_held_has_no_flaw(tokenizer: LLTokenizer, kind: Kind, text: str) -> None:
    assert flaw(kind, text, tokenizer) is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("regex", "("),
        ("regex", "a\\"),
        ("regex", "(?=a)b"),
        ("grammar", "start: nobody"),
        ("grammar", "start: <unknown>"),
        ("grammar", "start: <[99999]>"),
        ("grammar", "root ::= ("),
        ("grammar", "root ::= " + "(" * 5_000),
        ("grammar", '{"grammars": []}'),
    ],
)
def test_what_is_no_grammar_is_refused_with_a_reason_of_one_line(
    tokenizer: LLTokenizer, kind: Kind, text: str
) -> None:
    found = flaw(kind, text, tokenizer)
    assert found is not None
    assert found.why
    assert "\n" not in found.why
    assert len(found.why) < 400


def test_the_draft_at_fault_is_named_among_several(tokenizer: LLTokenizer) -> None:
    whole = Draft("whole", "lark", "start: @a | @b | @c")
    drafts = [
        whole,
        Draft("a", "regex", "a+"),
        Draft("b", "json", '{"not": {}}'),
        Draft("c", "json", "{}"),
    ]
    found = flaw_of(drafts, tokenizer)
    assert found is not None
    assert (found.draft, found.pointer) == ("b", "/not")
    assert flaw_of([drafts[0], drafts[1], drafts[3], Draft("b", "json", "{}")], tokenizer) is None
    assert flaw_of([whole], tokenizer) is not None


def test_with_an_old_llguidance_json_is_held_to_one_line(
    tokenizer: LLTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "version", lambda _: "1.7.6")
    matcher = LLMatcher(tokenizer, grammar_of([Draft("part", "json", '{"type": "object"}')]))
    for text, read in (('{"a": 1, "b": 2}', 16), ('{"a":1,"b":2}', 13), ('{"a":  1}', 6)):
        assert matcher.try_consume_tokens(tokenizer.tokenize_str(text)) == read
        matcher.reset()


def test_inner_schemas_come_before_those_that_hold_them() -> None:
    schema = {"anyOf": [{"items": {"not": True}}], "$defs": {"a~b": {"const": {"items": {}}}}}
    pointers = [pointer for pointer, _ in subschemas(schema)]
    assert pointers == ["/anyOf/0/items", "/anyOf/0", "/$defs/a~0b", ""]
