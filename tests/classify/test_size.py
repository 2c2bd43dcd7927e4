"""What small, medium and large mean, and how sure a size is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.size import counted, is_open, size_of
from gateway.config.weighing import SizeSection
from gateway.domain import Estimate, Weighed

SIZES = SizeSection()
COUNTS = st.integers(0, 10**7)


@pytest.mark.parametrize(
    ("tokens", "size"), [(0, "small"), (499, "small"), (500, "medium"), (4_000, "large")]
)
def test_thresholds_belong_to_the_larger_size(tokens: int, size: str) -> None:
    assert size_of(Estimate(tokens), None, SIZES).name == size


def test_the_wanted_answer_weighs_up_to_a_bound() -> None:
    assert size_of(Estimate(100), 500, SIZES).name == "medium"
    assert size_of(Estimate(100), 100_000, SIZES).name == "medium"
    assert size_of(Estimate(100), 500, SizeSection(counted_answer_tokens=0)).name == "small"
    assert size_of(Estimate(3_100), 100_000, SIZES).name == "large"


def test_far_from_a_threshold_a_size_is_sure_and_at_it_it_is_a_toss() -> None:
    assert size_of(Estimate(100, 20), None, SIZES).confidence == 1
    assert size_of(Estimate(500, 100), None, SIZES).confidence == pytest.approx(0.5)
    assert size_of(Estimate(450, 100), None, SIZES).confidence == pytest.approx(0.84, abs=0.01)


def test_a_size_is_open_where_a_threshold_lies_within_the_error() -> None:
    assert is_open(Estimate(450, 100), None, SIZES)
    assert not is_open(Estimate(450, 10), None, SIZES)
    assert not is_open(Estimate(450), None, SIZES)


def test_what_an_engine_counted_takes_the_place_of_the_estimate() -> None:
    weighed = Weighed("general", "en", "en", "small", 450, None, prompt_tokens_error=100)
    told = counted(weighed, 520, SIZES)
    assert (told.request_size, told.prompt_tokens, told.prompt_tokens_error) == ("medium", 520, 0)
    assert told.request_size_confidence == 1


@given(COUNTS, COUNTS, st.none() | COUNTS)
def test_a_confidence_is_a_share(tokens: int, error: int, answer: int | None) -> None:
    assert 0 <= size_of(Estimate(tokens, error), answer, SIZES).confidence <= 1
