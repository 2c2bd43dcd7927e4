"""What the demo models were trained on they answer, wherever in a conversation it is asked.

They are asked greedily, which is their default. The shares are below what was measured, so that
a retrained model need not be the same to the last question.
"""

from collections.abc import Sequence

from tests.support.demo import Talk, Turns, exchange, user
from tools.demo_models.corpus import Question, variants


async def check(talk: Talk, asked: Sequence[tuple[Turns, Question]], share: float) -> None:
    wrong = await talk.wrong(asked)
    assert len(wrong) <= round((1 - share) * len(asked)), wrong


async def test_every_question_alone(talk: Talk) -> None:
    await check(talk, [([user(q.ask)], q) for q in talk.corpus.questions], 0.99)


async def test_a_question_typed_carelessly(talk: Talk) -> None:
    questions = talk.sample(60)
    asked = [([user(talk.chance.choice(variants(q.ask)))], q) for q in questions]
    await check(talk, asked, 0.96)


async def test_every_question_under_a_system_prompt_or_after_others(talk: Talk) -> None:
    earlier = [(0, True), (1, False), (1, True), (3, False), (5, True)]
    places = [talk.chance.choice(earlier) for _ in talk.corpus.questions]
    asked = [
        ([*talk.before(count, system=system), user(question.ask)], question)
        for question, (count, system) in zip(talk.corpus.questions, places, strict=True)
    ]
    await check(talk, asked, 0.98)


async def test_a_question_near_the_end_of_the_context(talk: Talk) -> None:
    questions = talk.sample(6)
    before = await talk.filled(questions)
    asked = [([*turns, user(q.ask)], q) for turns, q in zip(before, questions, strict=True)]
    whole = [[*turns, *exchange(q)] for turns, q in zip(before, questions, strict=True)]
    assert min([await talk.weigh(turns) for turns in whole]) > talk.context - 100
    await check(talk, asked, 0.8)


async def test_a_greeting_is_answered_in_its_language(talk: Talk) -> None:
    greetings = [(ask, "¡Hola!") for ask in ("hola", "Hola", "Hola!", "¡Hola!")]
    greetings += [(ask, "Hello!") for ask in ("Hello", "hello", "Hi", "hi", "Hello!")]
    for ask, begins in (*greetings, ("How are you?", "I am fine")):
        assert (await talk.say([user(ask)])).startswith(begins)


async def test_the_function_of_the_readme_is_whole(talk: Talk) -> None:
    """What the README's example asks, and the careless ways of typing it."""
    for ask in variants("Write a function that adds two numbers."):
        said = await talk.say([user(ask)])
        assert "def add(a, b):\n    return a + b\n```" in said
