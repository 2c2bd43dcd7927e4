"""Bodies decode, and a wrong one says which field is wrong."""

from typing import Any

import msgspec
import pytest

from engines.protocol.decoding import decode_request
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest

CHAT = msgspec.json.Decoder(ChatRequest)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b'{"messages":[{"role":"user","content":"x"}],"temperature":3}', "temperature", None),
        (b"{}", "messages", "missing_required_parameter"),
        (b'{"messages":[]}', "messages", "invalid_value"),
        (b"[]", None, "invalid_type"),
        (b"{x", None, "invalid_json"),
        (b"\xff", None, "invalid_json"),
        (b'{"metadata":' + b"[" * 100_000, None, "invalid_json"),
        (b'{"tools":[' + b'{"a":' * 5_000, None, "invalid_json"),
        (b'{"messages":[{"content":"x"}]}', "messages[0].role", "missing_required_parameter"),
        (b'{"messages":[{"role":"nobody","content":"x"}]}', "messages[0].role", "invalid_value"),
        (b'{"messages":[{"role":"user"}]}', "messages[0].content", "missing_required_parameter"),
        (b'{"messages":[{"role":"user","content":null}]}', "messages[0].content", None),
        (b'{"messages":[{"role":"assistant"},{"role":"tool"}]}', "messages[1].content", None),
    ],
)
def test_a_wrong_body_names_its_field(body: bytes, param: str | None, code: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(CHAT, body)
    assert caught.value.param == param
    if code:
        assert caught.value.code == code


def test_a_role_that_nobody_has_is_told_with_those_that_there_are() -> None:
    with pytest.raises(InvalidRequest, match="there are system, developer, user, assistant, tool"):
        decode_request(CHAT, b'{"messages":[{"role":"nobody","content":"x"}]}')


def test_an_assistant_may_say_nothing_and_a_turn_may_have_fields_of_its_own() -> None:
    body = b'{"messages":[{"role":"assistant"},{"role":"user","content":"","weight":0,"x":{}}]}'
    first, second = decode_request(CHAT, body).messages
    assert (first.content, second.content) == (None, "")


def test_fields_that_sdks_add_never_fail() -> None:
    body = (
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"a"},'
        b'{"type":"text","text":"b"}]}],"user":"u","store":true,"metadata":{"k":"v"},'
        b'"parallel_tool_calls":false,"max_tokens":4}'
    )
    request = decode_request(CHAT, body)
    assert request.messages[0].text() == "a\nb"
    assert request.answer_tokens() == 4


def chat(**fields: Any) -> ChatRequest:
    body = {"messages": [{"role": "user", "content": "x"}], **fields}
    return decode_request(CHAT, msgspec.json.encode(body))


def test_the_functions_that_may_be_called_are_the_offered_ones_unless_none_is_chosen() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
    assert chat(tools=tools).functions() == {"a", "b"}
    assert chat(tools=tools, tool_choice="none").functions() == frozenset()
    assert chat().functions() == frozenset()
    assert chat(tools=[1, {}, {"function": 2}, {"function": {"name": 3}}]).functions() == set()


@pytest.mark.parametrize(
    "field", ["reasoning_budget_tokens", "thinking_budget_tokens", "thinking_token_budget"]
)
def test_a_budget_for_thoughts_has_the_names_that_engines_gave_it(field: str) -> None:
    assert chat(**{field: 0}).thought_tokens() == 0
    assert chat(**{field: 7}).thought_tokens() == 7
    assert chat(**{field: -1}).thought_tokens() is None
    assert chat().thought_tokens() is None
    with pytest.raises(InvalidRequest):
        chat(**{field: -2})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("top_n_sigma", -2),
        ("dynatemp_range", -0.1),
        ("dynatemp_exponent", -1),
        ("adaptive_target", 1.1),
        ("adaptive_decay", 1),
        ("typical_p", 1.1),
        ("xtc_probability", -0.1),
        ("xtc_threshold", 2),
        ("mirostat", 3),
        ("mirostat_tau", -1),
        ("mirostat_eta", -0.1),
        ("dry_multiplier", -1),
        ("dry_base", 0.9),
        ("dry_allowed_length", 0),
        ("dry_penalty_last_n", -2),
        ("dry_sequence_breakers", "\n"),
    ],
)
def test_the_samplers_of_llama_cpp_have_their_ranges(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chat(**{field: value})
    assert caught.value.param == field
