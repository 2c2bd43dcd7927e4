"""What an estimate of tokens says of a context: room, perhaps, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import Endpoint, Estimate
from gateway.errors import ContextLengthExceeded
from gateway.selection.fitting import Room, is_open

CONTEXTS = {"short": 1_000, "long": 10_000, "unknown": None}
NAMES = tuple(CONTEXTS)


def room(tokens: int, error: int = 0, answer: int | None = None) -> Room:
    return Room(dict.fromkeys(NAMES, Estimate(tokens, error)), answer, CONTEXTS)


def test_what_surely_fits_keeps_its_place() -> None:
    assert room(500, 50, 100).fitting(NAMES).names == NAMES
    assert Room({}, 10**6, CONTEXTS).fitting(NAMES).names == NAMES


def test_what_likely_does_not_fit_stands_behind_what_does() -> None:
    kept = room(1_050, 100, 10).fitting(NAMES)
    assert kept.names == ("long", "unknown", "short")
    assert str(kept.reasons[0]).startswith(
        "short comes behind: its context of 1000 tokens is less than"
    )


def test_where_all_likely_have_no_room_the_order_stays() -> None:
    assert room(1_050, 100, 10).fitting(["short"]).names == ("short",)


def test_what_surely_does_not_fit_is_left_out() -> None:
    assert room(1_200, 100).fitting(NAMES).names == ("long", "unknown")
    assert room(20_000, 100).fitting(NAMES).names == ("unknown",)


def test_room_for_a_short_answer_is_wished_for_where_none_was_named() -> None:
    assert room(900).fitting(NAMES).names == ("long", "unknown", "short")
    assert room(900, answer=50).fitting(NAMES).names == NAMES


def test_the_refusal_has_both_numbers_of_the_longest() -> None:
    with pytest.raises(ContextLengthExceeded) as caught:
        room(20_000, answer=5).check(["short", "long"])
    assert caught.value.code == "context_length_exceeded"
    assert "20000 tokens, and 5 are wanted" in caught.value.message
    assert "long, the longest of the models that may serve it, has 10000" in caught.value.message


@pytest.mark.parametrize(
    ("endpoint", "param"),
    [
        (Endpoint.CHAT, "messages"),
        (Endpoint.COMPLETIONS, "prompt"),
        (Endpoint.EMBEDDINGS, "input"),
        (Endpoint.RERANK, "documents"),
        (Endpoint.SCORE, "text_2"),
    ],
)
def test_the_refusal_names_the_field_and_what_is_only_read_wants_no_answer(
    endpoint: Endpoint, param: str
) -> None:
    def takes(tokens: int) -> Room:
        return Room({"short": Estimate(tokens)}, None, CONTEXTS, endpoint)

    with pytest.raises(ContextLengthExceeded) as caught:
        takes(1_001).check(["short"])
    assert caught.value.param == param
    reads = endpoint not in (Endpoint.CHAT, Endpoint.COMPLETIONS)
    assert ("answer" in caught.value.message) is not reads
    assert takes(1_000).fitting(["short"]).names == (("short",) if reads else ())


@pytest.mark.parametrize(
    ("tokens", "error", "answer", "context", "open_"),
    [
        (1_000, 50, 1, 1_000, True),
        (1_000, 0, 1, 1_000, False),
        (500, 50, 1, 1_000, False),
        (500, 50, 470, 1_000, True),
        (800, 50, None, 1_000, True),  # it may leave no room for a short answer
        (2_000, 50, 1, 1_000, False),
        (1_000, 50, 1, None, False),
    ],
)
def test_only_near_the_context_a_count_tells_more(
    tokens: int, error: int, answer: int | None, context: int | None, *, open_: bool
) -> None:
    assert is_open(Estimate(tokens, error), answer, context) is open_


@given(st.integers(0, 20_000), st.integers(0, 5_000), st.none() | st.integers(1, 20_000))
def test_whoever_is_left_may_have_room_and_a_refusal_means_nobody_has(
    tokens: int, error: int, answer: int | None
) -> None:
    asked = room(tokens, error, answer)
    least = max(0, tokens - error) + (answer or 1)
    left = set(asked.fitting(NAMES).names)
    assert left == {n for n, context in CONTEXTS.items() if context is None or least <= context}
    known = ["short", "long"]
    if left.isdisjoint(known):
        with pytest.raises(ContextLengthExceeded):
            asked.check(known)
    else:
        asked.check(known)
