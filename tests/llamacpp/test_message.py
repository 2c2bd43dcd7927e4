"""Parts become OpenAI's message and deltas."""

import json
from typing import Any

import msgspec

from engines.llamacpp.message import delta_of, message_of
from engines.llamacpp.speech.parts import (
    CallBegan,
    CallBroke,
    CallEnded,
    CallGrew,
    Content,
    Part,
    Thought,
)

CALL: list[Part] = [
    CallBegan(0, "call_a", "f"),
    CallGrew(0, '{"a"'),
    CallGrew(0, ": 1}"),
    CallEnded(0),
]
BROKEN: list[Part] = [CallBegan(1, "call_b", "g"), CallGrew(1, "{"), CallBroke(1, "<x>{!", "!")]


def plain(value: object) -> Any:
    return json.loads(msgspec.json.encode(value))


def test_a_message_has_only_the_fields_that_speak() -> None:
    assert plain(message_of([Content("Hello")])) == {
        "content": "Hello",
        "role": "assistant",
        "refusal": None,
    }
    assert plain(message_of([]))["content"] == ""


def test_calls_alone_leave_the_content_null() -> None:
    assert plain(message_of(CALL)) == {
        "content": None,
        "role": "assistant",
        "refusal": None,
        "tool_calls": [
            {
                "id": "call_a",
                "type": "function",
                "function": {"name": "f", "arguments": '{"a": 1}'},
            }
        ],
    }


def test_a_thought_stands_beside_the_content() -> None:
    message = plain(message_of([Thought("Hm."), Content("Yes"), Content(".")]))
    assert (message["reasoning_content"], message["content"]) == ("Hm.", "Yes.")


def test_a_broken_call_is_content_in_a_message_and_its_rest_in_a_delta() -> None:
    message = plain(message_of([Content("a "), *CALL, *BROKEN, Content(" b")]))
    assert message["content"] == "a <x>{! b"
    assert [call["id"] for call in message["tool_calls"]] == ["call_a"]
    delta = plain(delta_of(BROKEN))
    assert delta["content"] == "!"
    assert delta["tool_calls"][0]["function"] == {"name": "g", "arguments": "{"}


def test_a_call_begins_with_its_name_and_empty_arguments() -> None:
    assert plain(delta_of(CALL[:1])) == {
        "tool_calls": [
            {
                "index": 0,
                "id": "call_a",
                "type": "function",
                "function": {"name": "f", "arguments": ""},
            }
        ]
    }


def test_a_call_goes_on_with_its_index_and_arguments_alone() -> None:
    assert plain(delta_of(CALL[1:2])) == {
        "tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]
    }


def test_parts_of_one_step_are_one_delta() -> None:
    delta = plain(delta_of([Thought("Hm."), Content("Yes."), *CALL]))
    assert delta["reasoning_content"] == "Hm."
    assert delta["content"] == "Yes."
    assert delta["tool_calls"][0]["function"]["arguments"] == '{"a": 1}'


def test_an_end_alone_says_nothing() -> None:
    assert plain(delta_of([CallEnded(0)])) == {}
