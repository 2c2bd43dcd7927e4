"""A request of the Responses API as one for chat, and what is told of it."""

from collections import Counter
from typing import Any

import pytest

from engines.protocol.errors import InvalidRequest
from gateway.responses import ResponsesRequest, error_of

ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": "Hello"},
    {"type": "reasoning", "summary": []},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Weather?"},
]


@pytest.mark.parametrize(
    ("instructions", "param", "expected"),
    [
        (None, "messages[0].content", "input[0].content"),
        ("Help.", "messages[0].content", "instructions"),
        ("Help.", "messages[1]", "input[0]"),
        (None, "messages[1]", "input[1]"),
        (None, "messages[2].role", "input[3].role"),
        (None, "messages", "input"),
        (None, "max_completion_tokens", "max_output_tokens"),
        (None, "temperature", "temperature"),
        (None, "response_format.json_schema.schema", "text.format.schema"),
        (None, "tools[1].function.parameters", "tools[1].parameters"),
    ],
)
def test_an_error_about_the_chat_names_what_the_client_has_sent(
    instructions: str | None, param: str, expected: str
) -> None:
    request = ResponsesRequest(input=ITEMS, instructions=instructions)
    told = error_of(request, InvalidRequest(f"'{param}' is wrong.", param=param))
    assert told.param == expected
    assert told.message == f"'{expected}' is wrong."


def test_an_error_about_the_last_of_many_items_is_made_in_one_pass() -> None:
    read: Counter[str] = Counter()

    class Item(dict[str, Any]):
        """An item that counts how often it is read."""

        def get(self, name: str, default: Any = None) -> Any:
            read[name] += 1
            return super().get(name, default)

    items: list[dict[str, Any]] = [Item(role="user", content="Hello") for _ in range(1_000)]
    error = InvalidRequest("It is wrong.", param="messages[999].content")
    assert error_of(ResponsesRequest(input=items), error).param == "input[999].content"
    assert read["role"] == 1_000


def test_an_error_that_quotes_the_request_stays_as_it_is() -> None:
    said = "Items of type 'messages' are not supported."
    told = error_of(ResponsesRequest(input="Hello"), InvalidRequest(said, param="input[0].type"))
    assert (told.message, told.param) == (said, "input[0].type")
