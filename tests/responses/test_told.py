"""A chat's whole answer as a response."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from engines.protocol.events import DONE, write_event
from gateway.responses.asked import ResponsesRequest
from gateway.responses.events import EventWriter
from gateway.responses.told import whole
from tests.support.odd import odd_ones


def chat(message: dict[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    told = [{"token": token, "logprob": -0.5} for token in tokens]
    choice = {"message": message, "finish_reason": "stop", "logprobs": {"content": told}}
    return {"id": "chatcmpl-1", "created": 5, "model": "m", "choices": [choice]}


@pytest.mark.parametrize(
    ("message", "tokens", "expected"),
    [
        ({"content": "A b"}, ["A", " b", "<|end|>"], ["A", " b", "<|end|>"]),
        (
            {"content": "Four. 4", "reasoning_content": "2+2 is 4"},
            ["<think>", "2+2", " is 4", "</think>", "\n\n", "Four", ".", " 4", "<|end|>"],
            ["Four", ".", " 4"],
        ),
        ({"content": "é", "reasoning": "Hm"}, ["Hm", "\ufffd", "\ufffd"], []),
        ({"content": "Ok", "tool_calls": []}, ["Ok"], ["Ok"]),
    ],
)
def test_a_message_has_the_log_probabilities_of_its_own_tokens(
    message: dict[str, Any], tokens: list[str], expected: list[str]
) -> None:
    answer = whole(ResponsesRequest(input="Hello"), chat(message, tokens))
    said = answer.output[-1]
    assert said["type"] == "message"
    assert [one["token"] for one in said["content"][0]["logprobs"]] == expected


def test_log_probabilities_of_calls_are_of_no_message() -> None:
    call = {"id": "c", "function": {"name": "look", "arguments": "{}"}}
    answer = whole(
        ResponsesRequest(input="Hello"), chat({"content": "Ok", "tool_calls": [call]}, ["Ok", "{}"])
    )
    assert answer.output[0]["content"][0]["logprobs"] == []


def test_a_refusal_is_a_part_of_a_message() -> None:
    answer = whole(ResponsesRequest(input="Hello"), chat({"refusal": "No.", "content": None}, []))
    (item,) = answer.output
    assert (item["type"], item["role"], item["id"]) == ("message", "assistant", "msg_1_0")
    assert item["content"] == [{"type": "refusal", "refusal": "No."}]


def test_the_text_of_a_content_in_parts_is_told_whole_and_streamed() -> None:
    """As Mistral's reasoning models answer."""
    request, parts = ResponsesRequest(input="Hello"), [{"type": "thinking"}, {"text": "Ok"}]
    answer = whole(request, chat({"content": parts}, []))
    assert [item["content"][0]["text"] for item in answer.output] == ["Ok"]
    event = {"choices": [{"delta": {"content": parts}, "finish_reason": "stop"}]}
    told = EventWriter(request).feed(write_event(msgspec.json.encode(event)))
    assert b'"delta":"Ok"' in told


def test_an_event_of_any_shape_ends_no_response() -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
    delta = {"content": "Ok", "reasoning": "Hm", "refusal": "No", "tool_calls": [call]}
    choice = {"delta": delta, "finish_reason": None, "logprobs": {"content": [{"token": "Ok"}]}}
    usual = {"id": "chatcmpl-1", "created": 5, "choices": [choice], "usage": {"prompt_tokens": 1}}
    end = {"choices": [{"delta": {"content": "."}, "finish_reason": "stop"}]}
    for odd in odd_ones(usual):
        writer = EventWriter(ResponsesRequest(input="Hello"))
        events = [write_event(msgspec.json.encode(one)) for one in (odd, end)]
        told = b"".join(map(writer.feed, [*events, DONE]))
        assert told.count(b'"type":"response.created"') == 1
        assert told.count(b'"type":"response.completed"') == 1


def test_what_says_neither_its_id_nor_its_time_nor_its_model_is_a_response_all_the_same() -> None:
    request = ResponsesRequest(input="Hello", model="big")
    bare = {"choices": chat({"content": "Ok"}, ["Ok"])["choices"]}
    answer = whole(request, bare)
    assert (answer.status, answer.model) == ("completed", "big")
    assert answer.output[0]["content"][0]["text"] == "Ok"
    writer = EventWriter(request)
    event = {"choices": [{"delta": {"content": "Ok"}, "finish_reason": "stop"}]}
    told = writer.feed(write_event(msgspec.json.encode(event))) + writer.feed(DONE)
    assert b'"type":"response.completed"' in told
    assert b'"model":"big"' in told
