"""What a request asks its answer to hold to: one thing, well formed, of a bearable size."""

import json
from typing import Any

import msgspec
import pytest

from engines.llamacpp.grammar.tool_wish import MOST_CALLS, wish_of_chat
from engines.llamacpp.grammar.wish import (
    MOST_BYTES,
    MOST_LEVELS,
    UnsupportedGrammar,
    Wish,
    wish_of,
)
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest, CompletionRequest

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOLS = [
    {"type": "function", "function": {"name": "look", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "wait"}},
]


def chat(**fields: Any) -> Wish | None:
    body = {"messages": [{"role": "user", "content": "a"}], **fields}
    return wish_of_chat(msgspec.convert(body, ChatRequest))


def asked(**fields: Any) -> tuple[str, str, str, str]:
    """Return param, kind, place and text of the answer that a chat must give."""
    wish = chat(**fields)
    assert wish is not None
    assert wish.answer is not None
    return wish.param, wish.answer.kind, wish.answer.where, wish.answer.text


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        chat(**fields)
    return caught.value


def json_schema(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, **more}}


def test_a_request_that_asks_for_nothing_is_free() -> None:
    assert chat() is None
    assert chat(response_format={"type": "text"}) is None
    assert chat(tools=TOOLS) is None
    assert chat(tools=TOOLS, tool_choice="auto") is None
    assert chat(structured_outputs=None, grammar="") is None


def test_calls_of_strict_tools_are_held_amid_free_text() -> None:
    strict = {"name": "look", "parameters": SCHEMA, "strict": True}
    wish = chat(tools=[{"type": "function", "function": strict}, TOOLS[1]])
    assert wish is not None
    assert wish.calls is not None
    assert (wish.free, wish.answer, wish.calls.names) == (True, None, ("look", "wait"))
    assert [json.loads(part.text) for part in wish.calls.parameters] == [SCHEMA, {"type": "object"}]
    assert chat(tools=[{"type": "function", "function": strict}], tool_choice="none") is None


@pytest.mark.parametrize("strict", [True, False, None])
def test_openais_schema_is_held_to_whether_strict_or_not(strict: bool | None) -> None:
    param, kind, where, text = asked(response_format=json_schema(SCHEMA, strict=strict))
    assert (param, kind) == ("response_format", "json")
    assert where == "response_format.json_schema.schema"
    assert json.loads(text) == SCHEMA


def test_any_json_object_is_a_schema_of_its_own() -> None:
    assert asked(response_format={"type": "json_object"})[3] == '{"type":"object"}'
    assert json.loads(asked(response_format={"type": "json_object", "schema": SCHEMA})[3]) == SCHEMA
    assert asked(structured_outputs={"json_object": True})[3] == '{"type":"object"}'


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"structured_outputs": {"regex": "a+"}},
            ("structured_outputs", "regex", "structured_outputs.regex", "a+"),
        ),
        (
            {"structured_outputs": {"choice": ["a", "b"], "regex": None}},
            ("structured_outputs", "choice", "structured_outputs.choice", '["a","b"]'),
        ),
        ({"guided_regex": "a+"}, ("guided_regex", "regex", "guided_regex", "a+")),
        ({"guided_choice": ["a"]}, ("guided_choice", "choice", "guided_choice", '["a"]')),
        (
            {"guided_json": '{"type": "string"}'},
            ("guided_json", "json", "guided_json", '{"type":"string"}'),
        ),
        (
            {"guided_grammar": 'start: "a"'},
            ("guided_grammar", "grammar", "guided_grammar", 'start: "a"'),
        ),
        ({"grammar": 'root ::= "a"'}, ("grammar", "grammar", "grammar", 'root ::= "a"')),
    ],
)
def test_the_fields_of_vllm_and_llama_server_are_read(
    fields: dict[str, Any], expected: tuple[str, str, str, str]
) -> None:
    assert asked(**fields) == expected


def test_white_space_can_be_forbidden() -> None:
    wish = chat(structured_outputs={"json": SCHEMA, "disable_any_whitespace": True})
    assert wish is not None
    assert wish.compact


def test_text_completions_ask_in_the_same_way() -> None:
    body = {"prompt": "a", "response_format": {"type": "json_object"}}
    assert wish_of(msgspec.convert(body, CompletionRequest)) is not None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": json_schema(True)}, "response_format"),
        ({"response_format": json_schema(["object"])}, "response_format"),
        ({"structured_outputs": "a+"}, "structured_outputs"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs"),
        ({"structured_outputs": {"structural_tag": {}}}, "structured_outputs"),
        ({"structured_outputs": {"regex": 5}}, "structured_outputs"),
        ({"guided_choice": []}, "guided_choice"),
        ({"guided_choice": [1]}, "guided_choice"),
        ({"guided_json": "{"}, "guided_json"),
        ({"guided_json": "[" * 5_000}, "guided_json"),
        ({"guided_regex": ""}, "guided_regex"),
        ({"guided_regex": "a", "response_format": {"type": "json_object"}}, "guided_regex"),
        ({"guided_regex": "a", "ignore_eos": True}, "ignore_eos"),
        ({"tools": TOOLS, "tool_choice": "required", "ignore_eos": True}, "ignore_eos"),
        (
            {
                "tools": [{"type": "function", "function": {"name": "a", "strict": True}}],
                "ignore_eos": True,
            },
            "ignore_eos",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "any"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": 1}, "tool_choice"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "function"}], "tool_choice": "required"}, "tools[0]"),
        ({"tools": ["look"], "tool_choice": "required"}, "tools[0]"),
        ({"tools": [*TOOLS, {"type": "web_search"}]}, "tools[2]"),
        ({"tools": [{"type": "function", "name": "look", "parameters": SCHEMA}]}, "tools[0]"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "go"}}},
            "tool_choice",
        ),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice"),
    ],
)
def test_what_is_malformed_or_excludes_another_is_told_by_its_field(
    fields: dict[str, Any], param: str
) -> None:
    assert refusal(**fields).param == param


def test_a_schema_is_bounded_in_depth_and_size() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(MOST_LEVELS):
        deep = {"items": deep}
    assert isinstance(refusal(response_format=json_schema(deep)), UnsupportedGrammar)
    large = {"enum": ["x" * 100] * (MOST_BYTES // 100)}
    assert isinstance(refusal(response_format=json_schema(large)), UnsupportedGrammar)
    assert isinstance(refusal(guided_regex="a" * (MOST_BYTES + 1)), UnsupportedGrammar)
    half = {"enum": ["x" * (MOST_BYTES * 2 // 3)]}
    tools = [{"function": {"name": name, "parameters": half}} for name in "ab"]
    assert refusal(tools=tools, tool_choice="required").param == "tools"


def test_required_means_any_function_once_or_more() -> None:
    wish = chat(tools=TOOLS, tool_choice="required")
    assert wish is not None
    assert wish.answer is None
    assert wish.calls is not None
    assert wish.calls.names == ("look", "wait")
    assert wish.calls.most == MOST_CALLS
    assert wish.calls.parameters[0].where == "tools[0].function.parameters"
    assert wish.calls.parameters[1].text == '{"type":"object","properties":{}}'


def test_only_a_strict_tools_schema_must_be_held_to_the_letter() -> None:
    strict = {"type": "function", "function": {"name": "go", "strict": True}}
    for fields in ({"tool_choice": "required"}, {"response_format": {"type": "json_object"}}):
        wish = chat(tools=[*TOOLS, strict], **fields)
        assert wish is not None
        assert wish.calls is not None
        loose = [part.loose for part in wish.calls.parameters]
        assert loose == ['{"type":"object"}', '{"type":"object"}', None]


@pytest.mark.parametrize(("strict", "loose"), [(True, None), (None, None), (False, "{}")])
def test_a_schema_that_a_client_does_not_want_to_the_letter_is_loose(
    strict: bool | None, loose: str | None
) -> None:
    form = json_schema(SCHEMA)
    form["json_schema"]["strict"] = strict
    wish = chat(response_format=form)
    assert wish is not None
    assert wish.answer is not None
    assert wish.answer.loose == loose


def test_without_parallel_calls_one_is_all() -> None:
    wish = chat(tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
    assert wish is not None
    assert wish.calls is not None
    assert wish.calls.most == 1


@pytest.mark.parametrize("where", ["function", "beside"])
def test_a_named_function_is_called_once(where: str) -> None:
    named = {"name": "wait"} if where == "beside" else {"function": {"name": "wait"}}
    wish = chat(tools=TOOLS, tool_choice={"type": "function", **named})
    assert wish is not None
    assert wish.calls is not None
    assert (wish.calls.names, wish.calls.most) == (("wait",), 1)


def test_a_forced_call_comes_before_the_form_of_the_content() -> None:
    wish = chat(tools=TOOLS, tool_choice="required", response_format={"type": "json_object"})
    assert wish is not None
    assert wish.answer is None


def test_with_tools_at_hand_a_call_may_come_instead_of_the_answer() -> None:
    wish = chat(tools=TOOLS, response_format={"type": "json_object"})
    assert wish is not None
    assert wish.answer is not None
    assert wish.calls is not None
    wish = chat(tools=TOOLS, tool_choice="none", response_format={"type": "json_object"})
    assert wish is not None
    assert wish.calls is None
