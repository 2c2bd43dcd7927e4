"""Requests that say in which language to answer: the task is that of the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.requests import ChatRequest, Message
from gateway.classify import Weigher
from gateway.classify.answer_language import AnswerLanguageFinder
from gateway.classify.directives import without_directive
from gateway.classify.plain import plain


@pytest.fixture(scope="module")
def weigher() -> Weigher:
    return Weigher()


@pytest.fixture(scope="module")
def answers() -> AnswerLanguageFinder:
    return AnswerLanguageFinder()


@pytest.mark.parametrize(
    ("text", "language", "task"),
    [
        ("Please answer in French: what is the capital of Australia?", "fr", "general"),
        ("Reply only in Japanese. How do I cook rice?", "ja", "general"),
        ("What is 17 times 6? Answer in Turkish.", "tr", "math"),
        ("Antworte auf Englisch: Was ist Photosynthese?", "en", "general"),
        ("Réponds en anglais : combien font 17 fois 6 ?", "en", "math"),
        ("请用法语回答：澳大利亚的首都是哪里？", "fr", "general"),  # noqa: RUF001 - Chinese marks
        ("Translate into French: answer in German", "fr", "translation"),
    ],
)
def test_a_language_asked_for_makes_no_translation(
    weigher: Weigher, text: str, language: str, task: str
) -> None:
    weighed = weigher.weigh_chat(ChatRequest(messages=[Message("user", text)]))
    assert weighed.language == language
    assert weighed.likely_task == task


@pytest.mark.parametrize(
    ("text", "written", "rest"),
    [
        ("Answer in Dutch: who was he?", "en", "who was he?"),
        ("Who was he? (Please reply only in Dutch.)", "en", "Who was he? ("),
        ("Explain `x: int`. Respond in Spanish, please.", "en", "Explain `x: int`. please."),
        ("只用日语回复。怎么煮米饭？", "zh", "怎么煮米饭？"),  # noqa: RUF001 - Chinese marks
        ("Rispondi in inglese. Chi era?", "it", "Chi era?"),
        ("Answer in Dutch.", "en", None),
        ("Reply to this mail in Dutch: we come on Monday", "en", None),
        ("Who was he?", "en", None),
    ],
)
def test_only_the_sentence_that_asks_for_nothing_else_goes(
    answers: AnswerLanguageFinder, text: str, written: str, rest: str | None
) -> None:
    assert without_directive(text, lambda p: answers.asks_only(plain(p), written)) == rest


@given(st.text(max_size=300), st.integers(0, 6))
def test_what_is_left_is_part_of_the_text(text: str, most: int) -> None:
    rest = without_directive(text, lambda piece: len(piece) == most)
    assert rest is None or len(rest) < len(text)
