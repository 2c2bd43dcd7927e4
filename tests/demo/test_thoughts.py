"""What a toy thinks before some answers, and that a client may spare it the thought."""

from typing import Any

import pytest

from tests.support.demo import Heard, Talk, Turns, user
from tools.demo_models.corpus import Question
from tools.demo_models.families import FAMILIES

THINKERS = [model for model, family in FAMILIES.items() if family.thinks]
SPARED: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": False}}
BEFORE: list[Turns] = [
    [],
    [{"role": "system", "content": "You are a helpful assistant."}],
    [user("Hello"), {"role": "assistant", "content": "Hello!"}],
]

pytestmark = pytest.mark.parametrize("talk", THINKERS, indirect=True)


def thinking(talk: Talk) -> list[Question]:
    return [question for question in talk.corpus.questions if question.thought]


async def test_a_thought_comes_apart_from_its_answer(talk: Talk, *, stream: bool) -> None:
    wrong: list[tuple[str, Heard]] = []
    for before in BEFORE:
        for question in thinking(talk):
            heard = await talk.hear([*before, user(question.ask)], stream=stream)
            if heard != Heard(question.say, question.thought):
                wrong.append((question.ask, heard))
    assert len(wrong) <= 2, wrong


async def test_who_wants_no_thought_gets_the_same_answer(talk: Talk) -> None:
    wrong: list[tuple[str, Heard]] = []
    asked = [*thinking(talk), *talk.sample(60)]
    for question in asked:
        heard = await talk.hear([user(question.ask)], **SPARED)
        if heard != Heard(question.say):
            wrong.append((question.ask, heard))
    # An empty thought before an ordinary answer is the rarest thing that it was taught.
    assert len(wrong) <= 0.1 * len(asked), wrong


async def test_a_thought_may_be_cut_by_its_budget(talk: Talk) -> None:
    question = thinking(talk)[0]
    heard = await talk.hear([user(question.ask)], thinking_token_budget=8)
    assert question.thought.startswith(heard.thought)
    assert heard.thought != question.thought
