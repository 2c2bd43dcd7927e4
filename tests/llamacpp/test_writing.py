"""Steps of sequences become OpenAI's chat answers, whole and streamed."""

import itertools
import json
from typing import Any

import pytest

from engines.llamacpp.orders import Order, Progress
from engines.llamacpp.speech.dialect import Dialect
from engines.llamacpp.speech.formats import HERMES, PLAIN
from engines.llamacpp.speech.speech import Tags
from engines.llamacpp.writing import ChatWriter
from engines.protocol.events import event_data
from tests.support.toy_runtime import ToyVocabulary

THINKING = Dialect(HERMES, Tags("<think>", "</think>", "</think>"))
FUNCTIONS = {"add": None, "now": None}
CALL = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'


class Chat:
    """A writer and all that it wrote, step by step."""

    def __init__(
        self, choices: int = 1, dialect: Dialect = THINKING, *, calls: bool = True
    ) -> None:
        orders = [Order((1, 2, 3), 100, choice=choice) for choice in range(choices)]
        numbers = itertools.count()
        speeches = [
            dialect.hear(FUNCTIONS if calls else {}, new_id=lambda: f"call_{next(numbers)}")
            for _ in orders
        ]
        self.writer = ChatWriter("toy", orders, ToyVocabulary(), speeches)
        self.events: list[dict[str, Any]] = []

    def step(self, text: str, finish_reason: str | None = None, choice: int = 0) -> None:
        progress = Progress(text, 1, finish_reason=finish_reason)
        self.writer.add(choice, progress)
        data = event_data(self.writer.event(choice, progress))
        if data:
            self.events.append(json.loads(data)["choices"][0])

    def say(self, text: str, finish_reason: str = "stop") -> None:
        for char in text:
            self.step(char)
        self.step("", finish_reason)

    def message(self) -> dict[str, Any]:
        whole: dict[str, Any] = json.loads(self.writer.answer())["choices"][0]
        return {**whole["message"], "finish_reason": whole["finish_reason"]}

    def deltas(self) -> dict[str, Any]:
        """Return what a client makes of the stream."""
        found: dict[str, Any] = {"content": "", "reasoning_content": "", "calls": {}}
        for event in self.events:
            delta = event["delta"]
            found["content"] += delta.get("content", "")
            found["reasoning_content"] += delta.get("reasoning_content", "")
            for call in delta.get("tool_calls", ()):
                known = found["calls"].setdefault(call["index"], {"arguments": ""})
                known |= {key: call[key] for key in ("id", "type") if key in call}
                known |= {k: v for k, v in call["function"].items() if k == "name"}
                known["arguments"] += call["function"].get("arguments", "")
        return found


def usage(chat: Chat) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(chat.writer.answer())["usage"]
    return found


def test_a_call_is_in_the_message_and_in_the_stream() -> None:
    chat = Chat()
    chat.say(f"Adding.\n{CALL}")
    whole, streamed = chat.message(), chat.deltas()
    assert whole["content"] == streamed["content"] == "Adding.\n"
    assert whole["tool_calls"] == [
        {"id": "call_0", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    ]
    assert streamed["calls"] == {
        0: {"id": "call_0", "type": "function", "name": "add", "arguments": '{"a": 1}'}
    }
    assert whole["finish_reason"] == "tool_calls"
    assert [event["finish_reason"] for event in chat.events if event["finish_reason"]] == [
        "tool_calls"
    ]


def test_arguments_are_streamed_in_many_pieces() -> None:
    chat = Chat()
    chat.say(CALL)
    pieces = [event["delta"]["tool_calls"][0] for event in chat.events if event["delta"]]
    assert pieces[0]["function"] == {"name": "add", "arguments": ""}
    assert [set(piece) for piece in pieces[1:]] == [{"index", "function"}] * len('{"a": 1}')


def test_a_step_that_says_nothing_yet_is_no_event() -> None:
    chat = Chat()
    chat.step("<tool_")
    assert chat.events == []


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_a_call_that_is_not_whole_keeps_the_reason_and_is_content(reason: str) -> None:
    chat = Chat()
    chat.say('<tool_call>{"name": "add", "arguments": {"a', reason)
    assert chat.message() == {
        "content": '<tool_call>{"name": "add", "arguments": {"a',
        "role": "assistant",
        "refusal": None,
        "finish_reason": reason,
    }
    assert chat.events[-1]["finish_reason"] == reason


@pytest.mark.parametrize(("end", "reason"), [("stop", "tool_calls"), ("length", "length")])
def test_one_whole_call_is_enough_for_the_reason_unless_the_answer_was_cut(
    end: str, reason: str
) -> None:
    chat = Chat()
    chat.say(f"{CALL}<tool_call>", end)
    assert chat.message()["finish_reason"] == reason
    assert len(chat.message()["tool_calls"]) == 1
    assert chat.message()["content"] == "<tool_call>"


def test_thoughts_stand_apart_and_their_tokens_are_counted() -> None:
    chat = Chat()
    for text in ("<think>", "\n", "Hm", ".", "\n</think>", "\n\n", "Yes", "."):
        chat.step(text)
    chat.step("", "stop")
    assert chat.message()["reasoning_content"] == chat.deltas()["reasoning_content"] == "Hm."
    assert chat.message()["content"] == chat.deltas()["content"] == "Yes."
    assert usage(chat)["completion_tokens_details"] == {"reasoning_tokens": 5}
    assert usage(chat)["completion_tokens"] == 9


def test_an_answer_without_thoughts_has_no_such_fields() -> None:
    chat = Chat(dialect=Dialect(PLAIN, None))
    chat.say("Yes.")
    assert set(chat.message()) == {"content", "role", "refusal", "finish_reason"}
    assert usage(chat)["completion_tokens_details"] is None
    assert [event["delta"] for event in chat.events] == [{"content": c} for c in "Yes."] + [{}]


def test_choices_are_heard_apart() -> None:
    chat = Chat(choices=2)
    for text in (CALL[:20], CALL[20:]):
        chat.step(text, choice=0)
        chat.step("word ", choice=1)
    chat.step("", "stop", choice=0)
    chat.step("", "stop", choice=1)
    first, second = json.loads(chat.writer.answer())["choices"]
    assert first["message"]["tool_calls"][0]["function"]["name"] == "add"
    assert second["message"]["content"] == "word word "
    assert (first["finish_reason"], second["finish_reason"]) == ("tool_calls", "stop")


def test_without_tools_markers_are_content() -> None:
    chat = Chat(calls=False)
    chat.say(CALL)
    assert chat.message()["content"] == CALL
