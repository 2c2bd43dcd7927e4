"""Finding what is wanted in a prompt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.segments import HEAD_CHARS, TAIL_CHARS, clip, instruction_of, prose_of


@pytest.mark.parametrize(
    ("prose", "instruction"),
    [
        ("Do this.", "Do this."),
        ("Summarize this: a long story", "Summarize this"),
        ("把它翻译成英文\uff1a明天见面吧", "把它翻译成英文"),
        ("Read this.\n\nOnce upon a time.", "Read this."),
        ("12.5\n\nWhat is it?", "What is it?"),
        ("x" * 700 + "\n\nWhat is it?", "What is it?"),
        ("at 12:30 sharp", "at 12:30 sharp"),
        ("", ""),
    ],
)
def test_the_instruction_is_found(prose: str, instruction: str) -> None:
    assert instruction_of(prose) == instruction


def test_quotations_are_left_out_where_words_remain() -> None:
    assert "加油" not in instruction_of('What does "加油" mean?')
    assert instruction_of('"Hello there"') == '"Hello there"'


def test_code_and_addresses_are_no_prose() -> None:
    prose = prose_of("Look:\n```py\nx = 1\n```\nat `y` on https://a.example/b or me@b.example")
    assert prose.split() == ["Look:", "at", "on", "or"]


def test_an_open_fence_runs_to_the_end() -> None:
    assert prose_of("Why?\n```py\nx = 1").split() == ["Why?"]


@given(st.text(st.characters(exclude_categories=())))
def test_a_clipped_text_is_bounded_and_can_be_encoded(text: str) -> None:
    clipped = clip(text * 50)
    assert len(clipped) <= HEAD_CHARS + TAIL_CHARS + 2
    clipped.encode("utf-8")
