"""Streamed tool calls as engines are known to write them, put together by the openai SDK."""

import json
from typing import Any

import pytest

from gateway.observe.account import Account
from gateway.relay.calls import mend_whole
from gateway.relay.stream import StreamEditor
from gateway.relay.told import Told
from tests.support.streams import accumulated, data_of

ARGUMENTS = {"city": "Bonn", "days": [1, 2]}


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "toy"}
    return b"data: " + json.dumps(head | {"choices": [choice]}).encode() + b"\n\n"


def call(index: int | None = None, name: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a delta with a part of one call; `more` are `id` and `arguments`."""
    function = {"name": name, "arguments": more.get("arguments")}
    given = {"index": index, "id": more.get("id"), "type": "function" if name else None}
    told = {key: value for key, value in given.items() if value is not None}
    bare = {key: value for key, value in function.items() if value is not None}
    return {"tool_calls": [told | {"function": bare}]}


def text(at: slice) -> str:
    return json.dumps(ARGUMENTS)[at]


FIRST, REST = slice(0, 9), slice(9, None)
ROLE = event({"role": "assistant", "content": None})
END = event({}, "tool_calls")
GOOD = [
    ROLE,
    event(call(0, "weather", id="a", arguments="")),
    event(call(0, arguments=text(FIRST))),
    event(call(0, arguments=text(REST))),
    event(call(1, "time", id="b", arguments="{}")),
    END,
]
FAULTY = {
    "no index, whole calls": [
        ROLE,
        event(call(None, "weather", id="a", arguments=json.dumps(ARGUMENTS))),
        event(call(None, "time", id="b", arguments="{}")),
        END,
    ],
    "no index, in parts": [
        ROLE,
        event(call(None, "weather", id="a", arguments=text(FIRST))),
        event(call(None, id="a", arguments=text(REST))),
        event(call(None, "time", id="b", arguments="")),
        event(call(None, arguments="{}")),
        END,
    ],
    "a reason on every event": [
        ROLE,
        event(call(0, "weather", id="a", arguments=text(FIRST)), "tool_calls"),
        event(call(0, arguments=text(REST)), "tool_calls"),
        event(call(1, "time", id="b", arguments="{}"), "tool_calls"),
    ],
    "arguments that are an object": [
        ROLE,
        event(call(0, "weather", id="a", arguments=ARGUMENTS)),
        event(call(1, "time", id="b", arguments={})),
        END,
    ],
    "no id": [
        ROLE,
        event(call(0, "weather", arguments=json.dumps(ARGUMENTS))),
        event(call(1, "time", arguments="{}")),
        END,
    ],
}


def relayed(events: list[bytes], size: int | None = None) -> bytes:
    """Return what a client gets, the engine's bytes cut into pieces of `size`."""
    editor = StreamEditor(Account(lambda: 1.0, 0.0), "toy", False, Told())
    whole = b"".join(events) + b"data: [DONE]\n\n"
    step = size or len(whole)
    out = b"".join(editor.feed(whole[at : at + step]) for at in range(0, len(whole), step))
    assert editor.whole
    return out


def test_calls_in_good_order_pass_byte_for_byte() -> None:
    assert relayed(GOOD) == b"".join(GOOD) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("fault", FAULTY)
def test_faulty_calls_are_mended_so_that_clients_can_put_them_together(
    fault: str, size: int | None
) -> None:
    stream = relayed(FAULTY[fault], size)
    reasons = [json.loads(d)["choices"][0]["finish_reason"] for d in data_of(stream.decode())[:-1]]
    assert [reason for reason in reasons if reason] == ["tool_calls"]
    (choice,) = accumulated(stream).choices
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls or []
    assert len(calls) == 2
    first, second = calls
    assert first.type == "function"
    assert second.type == "function"
    assert json.loads(first.function.arguments) == ARGUMENTS
    assert (first.function.name, second.function.name) == ("weather", "time")
    assert json.loads(second.function.arguments) == {}
    assert first.id
    assert second.id
    assert first.id != second.id


def test_a_reason_on_every_event_of_a_text_is_told_once() -> None:
    events = [event({"content": word}, "stop") for word in ("It ", "weighs.")]
    stream = relayed(events)
    assert [
        json.loads(d)["choices"][0]["finish_reason"] for d in data_of(stream.decode())[:-1]
    ] == [
        None,
        "stop",
    ]


@pytest.mark.parametrize("fault", [{"id": None}, {"id": ""}, {"arguments": ARGUMENTS}])
def test_faulty_calls_of_a_whole_answer_are_mended_as_streamed_ones_are(
    fault: dict[str, Any],
) -> None:
    given = {"id": "a", "arguments": json.dumps(ARGUMENTS)} | fault
    called = {"name": "weather", "arguments": given["arguments"]}
    calls = [
        {"id": given["id"], "type": "function", "function": called},
        {"id": "b", "type": "function", "function": {"name": "time"}},
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    told = json.loads(mend_whole(json.dumps({"choices": [choice]}).encode()))["choices"][0]
    first, second = told["message"]["tool_calls"]
    assert told["finish_reason"] == "tool_calls"
    assert json.loads(first["function"]["arguments"]) == ARGUMENTS
    assert second["function"] == {"name": "time", "arguments": "{}"}
    assert first["id"]
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [{"message": {"content": "Hi", "tool_calls": []}}]}',
        b'{"choices": [{"message": {"tool_calls": [{"id": "a", "function": {"name": "f", '
        b'"arguments": "{}"}}]}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"tool_calls": [{"id": "a", "custom": {}}]}}]}',
        b'{"choices": {"tool_calls": [{}]}}',
    ],
)
def test_a_whole_answer_with_nothing_to_mend_stays_as_it_came(body: bytes) -> None:
    assert mend_whole(body) is body


@pytest.mark.parametrize("odd", ["x", 1, True, [1], [{}]])
def test_what_is_no_call_at_all_harms_nothing(odd: object) -> None:
    assert relayed([ROLE, event({"tool_calls": odd}), END]).endswith(END + b"data: [DONE]\n\n")
