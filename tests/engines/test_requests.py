"""Bodies decode, and a wrong one says which field is wrong."""

import msgspec
import pytest

from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest, decode_request

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
        (b'{"messages":[{"content":"x"}]}', "messages[0].role", "missing_required_parameter"),
    ],
)
def test_a_wrong_body_names_its_field(body: bytes, param: str | None, code: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(CHAT, body)
    assert caught.value.param == param
    if code:
        assert caught.value.code == code


def test_fields_that_sdks_add_never_fail() -> None:
    body = (
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"a"},'
        b'{"type":"text","text":"b"}]}],"user":"u","store":true,"metadata":{"k":"v"},'
        b'"parallel_tool_calls":false,"max_tokens":4}'
    )
    request = decode_request(CHAT, body)
    assert request.messages[0].text() == "a\nb"
    assert request.answer_tokens() == 4
