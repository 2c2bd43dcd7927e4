"""The estimate of tokens, and what small, medium and large mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.size import request_size, tokens_of
from gateway.config.schema import SizeSection


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("a", 1, 1),
        ("The quick brown fox jumps over the lazy dog. " * 10, 90, 130),
        ("Быстрая лиса прыгает через ленивую собаку. " * 10, 120, 320),
        ("敏捷的狐狸跳过了那只懒惰的狗。" * 10, 90, 200),
    ],
)
def test_an_estimate_is_near_what_tokenizers_count(text: str, least: int, most: int) -> None:
    assert least <= tokens_of(text) <= most


def test_a_long_text_is_judged_by_samples_of_it() -> None:
    text = "plain English words and some more of them " * 5_000
    assert abs(tokens_of(text) - len(text) / 4) < len(text) / 100


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_has_an_estimate(text: str) -> None:
    assert (tokens_of(text) > 0) is bool(text)


@pytest.mark.parametrize(
    ("tokens", "size"), [(0, "small"), (499, "small"), (500, "medium"), (4_000, "large")]
)
def test_thresholds_belong_to_the_larger_size(tokens: int, size: str) -> None:
    assert request_size(tokens, SizeSection()) == size
