"""An answer that the client has begun means what it would have meant if the model had said it all.

A call in which it breaks off is told whole; nothing else of what was said before is told again.
"""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines.llamacpp.message import message_of
from engines.llamacpp.speech.dialect import Dialect
from engines.llamacpp.speech.formats import FORMATS, HERMES
from engines.llamacpp.speech.parts import CallBegan, CallEnded, CallGrew, Content, Part
from engines.llamacpp.speech.speech import Speech, Tags

THINK = Tags("<think>", "</think>", "</think>")
FUNCTIONS: dict[str, Any] = {
    "now": None,
    "get_weather": {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
}
BARE = [form for form in FORMATS if not form.envelops]
MARKERS = sorted({text for form in BARE for text in (*form.markers, *form.first, *form.tokens)})
FRAGMENTS = [
    *MARKERS,
    *("<think>", "</think>", '{"name": "now"', ', "arguments": {', '"parameters": {"city": "x"}'),
    *("now", "get_weather(days=1)", "now()", "```json\n", " ", "\n", ";", ",", "<", "é", "Hm"),
    *("}", "]", '"', "\\", "[", "{", ")", "1"),
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
CALL = '<tool_call>{"name": "now", "arguments": {"a": 1}}</tool_call>'


def begun(form: Any = HERMES, said: str = "", *, split: bool = True) -> Speech:
    numbers = itertools.count()
    speech = Dialect(form, THINK).hear(
        FUNCTIONS, amid=True, split=split, new_id=lambda: f"call_{next(numbers)}"
    )
    if said:
        speech.go_on_from(said)
    return speech


def heard(speech: Speech, text: str, cuts: list[int]) -> list[Part]:
    places = [0, *sorted(min(at, len(text)) for at in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    return [part for piece in pieces for part in speech.feed(piece)] + speech.finish()


def message(parts: list[Part]) -> tuple[str, list[tuple[Any, Any]]]:
    """Return the content of a message, and its calls."""
    found = message_of(parts)
    calls = [] if found.tool_calls is msgspec.UNSET else found.tool_calls
    return found.content or "", [(call.function.name, call.function.arguments) for call in calls]


@pytest.mark.parametrize("form", BARE, ids=lambda form: form.name)
@given(text=TEXTS, at=st.integers(0, 120), cuts=st.lists(st.integers(0, 120)), split=st.booleans())
@example(text=f"Hm{CALL}", at=20, cuts=[], split=True)
@example(text=f"{CALL} Hm", at=5, cuts=[3], split=True)
@example(text="<think>x</think>\nYes", at=17, cuts=[1], split=True)
@example(text="<tool_call>Hm", at=5, cuts=[], split=False)
def test_an_answer_means_the_same_wherever_it_was_begun(
    form: Any, text: str, at: int, cuts: list[int], split: bool
) -> None:
    said, first = text[:at], begun(form, split=split)
    before, _ = message(first.feed(said))
    if first.calls or first.thinking:
        return
    content, calls = message(heard(begun(form, split=split), text, cuts))
    more, told = message(heard(begun(form, said, split=split), text[at:], cuts))
    assert told == calls
    # What had not been told before is content by now, or no part of the message.
    assert content in {before + said[start:] + more for start in range(len(said) + 1)}


def test_a_call_is_told_from_its_beginning() -> None:
    speech = begun(HERMES, f"Let me see. {CALL[:40]}")
    assert speech.feed(CALL[40:]) == [
        CallBegan(0, "call_0", "now"),
        CallGrew(0, '{"a": 1}'),
        CallEnded(0),
    ]
    assert speech.calls == 1


@pytest.mark.parametrize("at", [3, 15, 30, 40])
def test_of_a_call_that_is_none_the_rest_is_content(at: int) -> None:
    text = CALL.replace("1}}", "1}!")
    told = heard(begun(HERMES, f"Let me see. {text[:at]}"), text[at:], [])
    assert message(told) == (text[at:], [])


def test_what_was_said_is_not_said_again() -> None:
    assert heard(begun(HERMES, "Yes,"), " it is.", []) == [Content(" it is.")]
