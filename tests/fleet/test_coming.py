"""How far weights have come, and how long the rest takes."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.fleet.coming import Coming

MIB = 2**20


def test_the_rest_takes_as_long_as_what_came_took_and_what_was_here_before_does_not_count() -> None:
    coming = Coming(since_s=100)
    assert coming.left_s(110) is None
    coming.reaches(600 * MIB, 1_000 * MIB)
    assert coming.left_s(110) is None
    coming.reaches(700 * MIB, 1_000 * MIB)
    assert coming.left_s(120) == 60
    assert coming.in_words() == "700 MiB of 1000 MiB here"


def test_where_nobody_knows_the_size_nobody_says_how_long() -> None:
    coming = Coming(since_s=0)
    assert coming.in_words() == ""
    coming.reaches(0, None)
    coming.reaches(5 * MIB, None)
    assert coming.left_s(9) is None
    assert coming.in_words() == "5 MiB here"


@given(st.lists(st.integers(0, 10**12), min_size=2), st.floats(0, 10**6))
def test_what_is_left_is_never_negative(here: list[int], now_s: float) -> None:
    coming, size = Coming(since_s=0), max(here)
    for count in sorted(here):
        coming.reaches(count, size)
        left_s = coming.left_s(now_s)
        assert left_s is None or left_s >= 0
