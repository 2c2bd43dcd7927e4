"""`Retry-After`, in seconds and as a date, beside clocks that differ."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.rest import asked_rest_s

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def stamp(seconds: float) -> bytes:
    return format_datetime(NOON + timedelta(seconds=seconds), usegmt=True).encode()


@given(st.integers(-100_000, 100_000), st.integers(-100_000, 100_000))
def test_a_date_counts_from_the_engines_own(rest_s: int, skew_s: int) -> None:
    told = asked_rest_s(stamp(rest_s + skew_s), stamp(skew_s), NOON.timestamp())
    assert told == max(0, rest_s)


def test_without_a_date_of_its_own_the_gateways_clock_counts() -> None:
    assert asked_rest_s(stamp(90), None, NOON.timestamp()) == 90
    assert asked_rest_s(stamp(90), b"noon", NOON.timestamp()) == 90


@pytest.mark.parametrize("form", [b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"])
def test_the_old_forms_of_a_date_are_read(form: bytes) -> None:
    assert asked_rest_s(form, b"Sun, 06 Nov 1994 08:49:07 GMT", 0) == 30


@given(st.binary(max_size=40), st.none() | st.binary(max_size=40))
def test_nonsense_is_nothing_and_never_fails(header: bytes, date: bytes | None) -> None:
    told = asked_rest_s(header, date, NOON.timestamp())
    assert told is None or told >= 0


def test_without_the_header_nothing_is_asked() -> None:
    assert asked_rest_s(None, stamp(0), NOON.timestamp()) is None
