"""What a text is made of, whatever its script and its length."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.counting import KINDS, Counts, SignCounter

COUNTER = SignCounter()
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def counts(text: str) -> dict[str, float]:
    return {k: v for k, v in zip(KINDS, COUNTER.count(text).values, strict=True) if v}


def test_letters_words_digits_and_marks_are_counted() -> None:
    assert counts("Hello, World 42!\n\nfoo_bar") == {
        "letters": 16,
        "rare_letters": 1,  # the a of bar
        "digits": 2,
        "marks": 3,
        "words": 4,
        "numbers": 1,
        "groups_of_marks": 3,
        "lines": 1,
        "blanks": 4,
        "texts": 1,
    }


@pytest.mark.parametrize(
    ("text", "kind", "signs"),
    [
        ("Ä", "latin", 1),
        ("Привет", "cyrillic", 6),
        ("漢字", "han", 2),
        ("かな", "kana", 2),
        ("한글", "hangul", 2),
        ("नमन", "devanagari", 3),
        ("বাংলা", "bengali", 5),
        ("ไทย", "thai", 3),
        ("ế", "vietnamese", 1),
        ("😀", "surrogates", 2),
        ("\ud800", "surrogates", 1),
        ("—", "symbols", 1),
        ("𠀀", "surrogates", 2),
    ],
)
def test_each_script_is_counted_by_itself(text: str, kind: str, signs: int) -> None:
    assert counts(text) == {kind: signs, "texts": 1}


def test_spaces_part_words_where_letters_are_not_ascii() -> None:
    assert counts("Привет, мир")["spaces"] == 1
    assert "spaces" not in counts("Hello, world")


@given(ANY_TEXT)
def test_any_text_can_be_counted(text: str) -> None:
    values = COUNTER.count(text).values
    assert min(values) >= 0
    assert values[-1] == (1 if text else 0)


@given(ANY_TEXT, ANY_TEXT)
def test_counts_add_up(one: str, other: str) -> None:
    both = COUNTER.count(one) + COUNTER.count(other)
    assert both.values[0] == COUNTER.count(one).values[0] + COUNTER.count(other).values[0]
    assert both + Counts() == both
    assert both.times(2).values[0] == 2 * both.values[0]


def test_a_long_text_is_judged_by_slices_of_it() -> None:
    words = "plain English words and some more of them " * 5_000
    assert COUNTER.count(words).values[0] == pytest.approx(175_000, rel=0.05)
    halves = "a " * 50_000 + "я " * 50_000
    assert counts(halves)["letters"] == pytest.approx(50_000, rel=0.1)
    assert counts(halves)["cyrillic"] == pytest.approx(50_000, rel=0.1)


def test_a_million_signs_take_no_longer_than_some_thousand() -> None:
    """A generous bound that only time growing with the length would break."""
    text = "漢字 and more " * 400_000
    began = time.process_time()
    for _ in range(20):
        COUNTER.count(text)
    assert time.process_time() - began < 0.5
