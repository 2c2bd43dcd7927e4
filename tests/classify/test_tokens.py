"""Estimates of tokens: near what tokenizers count, and as wide as what is known of a model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.families import load_catalogue
from gateway.classify.counting import SignCounter
from gateway.classify.tokens import OneOf, estimate, load_vocabularies
from gateway.domain import Bulk

COUNTER = SignCounter()
KNOWN = load_vocabularies()


def bulk(text: str) -> Bulk:
    return Bulk(COUNTER.count(text).values)


# Counted with the vocabulary of Qwen2.5.
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The quick brown fox jumps over the lazy dog. " * 10, 101),
        ("Быстрая лиса прыгает через ленивую собаку. " * 10, 191),
        ("敏捷的狐狸跳过了那只懒惰的狗。" * 10, 110),
        ("def add(a: int, b: int) -> int:\n    return a + b\n" * 10, 190),
    ],
)
def test_an_estimate_is_within_its_error_of_what_a_tokenizer_counts(text: str, tokens: int) -> None:
    told = estimate(bulk(text), KNOWN.of("qwen2.5"), 800)
    assert told.least <= tokens <= told.most
    assert told.error < tokens / 2


def test_families_have_vocabularies_of_their_own() -> None:
    hindi = bulk("आज मौसम कैसा रहेगा और क्या मुझे छाता चाहिए? " * 10)
    qwen, gemma = (estimate(hindi, KNOWN.of(family), 800) for family in ("qwen3", "gemma"))
    assert qwen.tokens > 1.5 * gemma.tokens


def test_where_the_family_is_unknown_the_error_covers_all_that_are_likely() -> None:
    hindi = bulk("आज मौसम कैसा रहेगा और क्या मुझे छाता चाहिए? " * 10)
    assert isinstance(KNOWN.of("unheard"), OneOf)
    wide = estimate(hindi, KNOWN.of(None), 800)
    for family in ("qwen3", "gemma", "llama-3.1"):
        narrow = estimate(hindi, KNOWN.of(family), 800)
        assert wide.least <= narrow.tokens <= wide.most


def test_models_that_share_a_vocabulary_are_told_by_it() -> None:
    assert KNOWN.shared(["qwen2.5", "qwen3"]) is KNOWN.of("qwq")
    assert KNOWN.shared(["qwen2.5", "gemma"]) is KNOWN.any
    assert KNOWN.shared([]) is KNOWN.any


def test_every_family_named_is_in_the_catalogue() -> None:
    families = {entry.family for entry in load_catalogue().entries}
    named = {family for one in KNOWN.by_name.values() for family in one.families}
    assert named <= families


def test_turns_tools_images_and_ids_count() -> None:
    plain = estimate(Bulk(bulk("Hello").signs, turns=1), KNOWN.any, 800)
    more = estimate(Bulk(bulk("Hello").signs, turns=3, images=2, tools=True, ids=7), KNOWN.any, 800)
    assert more.tokens >= plain.tokens + 2 * 800 + 100 + 2 + 7
    assert more.error > plain.error
    assert estimate(Bulk(ids=5), KNOWN.any, 800) == estimate(Bulk(ids=5), KNOWN.of("qwen3"), 1)


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_has_an_estimate(text: str) -> None:
    told = estimate(bulk(text), KNOWN.any, 800)
    assert (told.tokens > 0) is bool(text)
    assert told.least <= told.tokens <= told.most
