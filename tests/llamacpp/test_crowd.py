"""What is too much for a worker at once is refused, and what has gone leaves room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.crowd import Crowd, Overloaded
from engines.protocol.errors import InvalidRequest


def test_who_would_be_too_many_beside_others_is_told_to_come_back() -> None:
    crowd = Crowd(3)
    with crowd.with_these(2):
        too_many = crowd.with_these(2)
        with pytest.raises(Overloaded, match="2 answers and texts run") as refused, too_many:
            pass
        assert refused.value.retry_after_s
        with crowd.with_these(1):
            pass
    with crowd.with_these(3):
        pass


def test_who_can_never_fit_is_told_so_and_not_to_come_back() -> None:
    with (
        pytest.raises(InvalidRequest, match="4 at once are more") as refused,
        Crowd(3).with_these(4, "input"),
    ):
        pass
    assert (refused.value.status, refused.value.param) == (400, "input")


@given(st.lists(st.integers(1, 5)))
def test_an_error_in_the_block_leaves_as_much_room_as_before(counts: list[int]) -> None:
    crowd = Crowd(5)
    for count in counts:
        with pytest.raises(ZeroDivisionError), crowd.with_these(count):
            raise ZeroDivisionError
    with crowd.with_these(5):
        pass
