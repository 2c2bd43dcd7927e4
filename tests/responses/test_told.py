"""A chat's whole answer as a response."""

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.responses.asked import ResponsesRequest
from gateway.responses.told import whole


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
