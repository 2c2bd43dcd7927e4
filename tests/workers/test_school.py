"""What engines count in prompts is told to other workers, and learnt as if it were their own."""

import asyncio

import pytest

from gateway.classify import Gauge, Lesson
from gateway.classify.counting import SignCounter
from gateway.domain import Bulk, ModelFacts
from gateway.workers import school, words
from gateway.workers.school import School

BULK = Bulk(signs=SignCounter().count("Weigh this, please, and tell me why.").values, turns=1)


def lesson(counted: int) -> Lesson:
    return Lesson("m", 12, 4, counted)


async def test_lessons_of_a_while_are_told_together_and_no_more_than_tell_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(school, "_TOLD_EVERY_S", 0.0)
    said: list[words.FromWorker] = []
    told = asyncio.Event()

    def say(word: words.FromWorker) -> None:
        said.append(word)
        told.set()

    own = School(say, lambda _: None)
    for counted in range(100):
        own.teach(lesson(counted))
    await told.wait()
    (word,) = said
    assert isinstance(word, words.Learnt)
    assert word.rows == tuple(("m", 12, 4, counted) for counted in range(len(word.rows)))
    assert 1 < len(word.rows) < 100
    told.clear()
    own.teach(lesson(7))
    await told.wait()
    assert said[1:] == [words.Learnt((("m", 12, 4, 7),))]


def test_who_hears_of_a_count_estimates_as_who_has_learnt_it() -> None:
    one, other = Gauge({"m": ModelFacts()}), Gauge({"m": ModelFacts()})
    hearer = School(lambda _: None, other.recall)
    before = one.of("m", BULK)
    for _ in range(20):
        learnt = one.learn("m", BULK, 3 * before.tokens)
        assert learnt is not None
        hearer.hear(words.Learnt((learnt,)))
    assert one.of("m", BULK) == other.of("m", BULK)
    assert one.of("m", BULK).tokens > before.tokens


def test_a_model_that_is_no_longer_there_teaches_nothing() -> None:
    gauge = Gauge({"m": ModelFacts()})
    gauge.recall(Lesson("gone", 12, 4, 20))
    assert gauge.of("m", BULK) == Gauge({"m": ModelFacts()}).of("m", BULK)
