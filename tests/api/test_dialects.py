"""Requests in other words than chat's: whatever their fields hold, translated or refused."""

from typing import Any

import msgspec
import pytest

from engines.protocol.decoding import decode_request
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest
from gateway.api.dialects import told, translated
from gateway.relay.shadows import Nowhere
from gateway.responses import ResponsesRequest
from tests.support.odd import odd_ones

FUNCTION = {"name": "f", "parameters": {"type": "object"}}
CALLED = {"name": "f", "arguments": "{}"}
OLDER = {
    "messages": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "function_call": CALLED},
        {"role": "function", "name": "f", "content": "1"},
    ],
    "functions": [FUNCTION],
    "function_call": {"name": "f"},
}
ALLOWED = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": FUNCTION}]},
    },
}
RESPONSE = {
    "instructions": "Help.",
    "input": [
        {"role": "user", "content": [{"type": "input_image", "image_url": "x", "detail": "low"}]},
        {"type": "reasoning", "summary": [{"text": "Hm"}], "content": [{"text": "Hm"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text"}]},
    ],
    "tools": [FUNCTION | {"type": "function"}],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
    "reasoning": {"effort": "low"},
    "include": ["message.output_text.logprobs"],
}


@pytest.mark.parametrize(
    ("kind", "usual"),
    [(ChatRequest, OLDER), (ChatRequest, ALLOWED), (ResponsesRequest, RESPONSE)],
)
def test_a_request_of_any_shape_is_translated_or_refused(
    kind: type[Any], usual: dict[str, Any]
) -> None:
    decoder, refused = msgspec.json.Decoder(kind), list[str]()
    for odd in odd_ones(usual):
        body, asked = msgspec.json.encode(odd), None
        try:
            asked = decode_request(decoder, body)
            translated(body, asked, Nowhere())
        except InvalidRequest as error:
            refused.append(told(error, asked).message)
    assert refused
    assert kind is ChatRequest or not any("messages" in message for message in refused)
