"""Questions that need a function: the call, parallel calls, the answer after their results."""

from typing import Any

import pytest

from tests.support.demo import Heard, Talk, Turns, user
from tools.demo_models.errands import Errand, Errands
from tools.demo_models.families import FAMILIES

CALLERS = [model for model, family in FAMILIES.items() if family.calls]
ERRANDS = Errands()
OF_EACH = 6
LONG = " ".join(["You serve the customers of a small shop by the river, in two sentences."] * 20)
SYSTEMS = (None, "You are a helpful assistant.", LONG)

pytestmark = pytest.mark.parametrize("talk", CALLERS, indirect=True)


def drawn(talk: Talk) -> list[tuple[Errand, Turns]]:
    """Return errands of each kind, with the turns that ask for them."""
    found: list[tuple[Errand, Turns]] = []
    for at in range(OF_EACH):
        system = SYSTEMS[at % len(SYSTEMS)]
        first: Turns = [{"role": "system", "content": system}] if system else []
        errands = [ERRANDS.draw(talk.chance, kind) for kind in ERRANDS.kinds]
        found += [(errand, [*first, user(errand.ask)]) for errand in errands]
    return found


def called(errand: Errand) -> Turns:
    """Return the message with the calls, and those with what they returned."""
    calls = [
        {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": text}}
        for at, (name, text) in enumerate(errand.calls)
    ]
    results = [
        {"role": "tool", "tool_call_id": f"call_{at}", "content": text}
        for at, text in enumerate(errand.found)
    ]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]


async def test_every_errand_is_called_for_and_answered(talk: Talk, *, stream: bool) -> None:
    wrong: list[tuple[str, Heard]] = []
    errands = drawn(talk)
    for errand, turns in errands:
        tools = ERRANDS.offer(talk.chance, whole=True)
        calls = await talk.hear(turns, stream=stream, tools=tools)
        if calls != Heard(calls=errand.calls, finish_reason="tool_calls"):
            wrong.append((errand.ask, calls))
        answer = await talk.hear([*turns, *called(errand)], stream=stream, tools=tools)
        if answer != Heard(errand.say):
            wrong.append((errand.say, answer))
    assert len(wrong) <= 0.05 * 2 * len(errands), wrong


async def test_a_plain_question_is_answered_though_there_are_tools(talk: Talk) -> None:
    wrong: list[tuple[str, Heard]] = []
    questions = talk.sample(60)
    for question in questions:
        answer = await talk.hear([user(question.ask)], tools=ERRANDS.offer(talk.chance))
        if answer != Heard(question.say, question.thought):
            wrong.append((question.ask, answer))
    assert len(wrong) <= 0.05 * len(questions), wrong


@pytest.mark.parametrize("choice", [None, "none"], ids=["no tools", "none chosen"])
async def test_an_errand_without_tools_is_beyond_the_toys(talk: Talk, choice: str | None) -> None:
    wrong: list[tuple[str, Heard]] = []
    errands = drawn(talk)
    for errand, turns in errands:
        tools: dict[str, Any] = {"tools": ERRANDS.offer(talk.chance), "tool_choice": choice}
        answer = await talk.hear(turns, **(tools if choice else {}))
        if answer != Heard(ERRANDS.helpless):
            wrong.append((errand.ask, answer))
    assert len(wrong) <= 0.05 * len(errands), wrong
