"""How hard a request looks: a rank among ordinary ones, by few and plain signs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.requests import ChatRequest, Message
from gateway.classify.counting import SignCounter
from gateway.classify.difficulty import NOTHING_TELLS, DifficultyFinder
from gateway.classify.shape import Shape
from gateway.classify.weigher import Weigher
from gateway.config.vocabulary import TASKS
from gateway.domain import Bulk

FINDER = DifficultyFinder()
COUNTER = SignCounter()


@pytest.fixture(scope="module")
def weigher() -> Weigher:
    return Weigher()


def difficulty(text: str, task: str = "general", turns: int = 0, **shape: Any) -> float:
    return FINDER.find(COUNTER.count(text), task, turns, Shape(Bulk(), **shape)).value


def test_more_words_look_harder_up_to_the_length_of_a_document() -> None:
    ranks = [difficulty("a plain word " * count) for count in (1, 5, 30, 100, 1_000, 10_000)]
    assert ranks == sorted(ranks)
    assert ranks[0] < 0.2
    assert ranks[-1] == ranks[-2]


def test_reasoning_and_math_look_harder_than_a_chat_and_a_translation() -> None:
    text = "How many of these are left when each takes two?"
    ranks = [difficulty(text, task) for task in ("translation", "code", "math")]
    assert ranks == sorted(ranks)
    assert ranks[0] + 0.3 < ranks[-1]


def test_tools_and_earlier_turns_look_harder() -> None:
    text = "Book me a table for two tonight"
    assert difficulty(text, tools=True) > difficulty(text)
    assert difficulty(text, turns=6) > difficulty(text)
    assert difficulty(text, turns=60) == difficulty(text, turns=8)


def test_scripts_without_spaces_are_as_hard_as_others() -> None:
    english = difficulty("Explain how a refrigerator keeps food cold and why its back is warm.")
    chinese = difficulty("请解释冰箱如何让食物保持低温以及为什么冰箱的背面是热的。")
    assert abs(english - chinese) < 0.2


def test_of_nothing_nothing_is_said() -> None:
    assert FINDER.find(COUNTER.count(""), "general", 0, Shape(Bulk())) == NOTHING_TELLS


def test_a_request_carries_its_difficulty_with_a_reason_and_little_confidence(
    weigher: Weigher,
) -> None:
    weighed = weigher.weigh_chat(ChatRequest(messages=[Message("user", "Why is the sky blue?")]))
    assert 0 < weighed.difficulty < 0.3
    assert weighed.difficulty_confidence == 0.6
    (reason,) = [one for one in weighed.reasons if one.startswith("difficulty is")]
    assert "of ordinary requests" in reason


def test_every_task_that_is_named_is_one() -> None:
    assert set(FINDER.tasks) <= set(TASKS)


@given(st.text(st.characters(exclude_categories=())), st.sampled_from(TASKS), st.integers(0, 99))
def test_a_difficulty_is_a_share(text: str, task: str, turns: int) -> None:
    assert 0 <= difficulty(text, task, turns) <= 1
