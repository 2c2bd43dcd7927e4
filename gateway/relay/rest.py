"""How long an engine asks to be left alone: its `Retry-After`, in seconds or as a date.

Owns: reading the header. Must not: read a clock; obey.
"""

from datetime import UTC
from email.utils import parsedate_to_datetime

_MOST_DIGITS = 9


def asked_rest_s(retry_after: bytes | None, date: bytes | None, now_s: float) -> float | None:
    """Return the seconds that `Retry-After` says, None where it says nothing readable.

    A date is compared with `date`, the engine's own `Date`, so that clocks that differ do not
    matter; without one with `now_s`, in seconds since 1970. What has passed is 0.
    """
    if retry_after is None:
        return None
    if retry_after.isdigit():
        return float(retry_after[:_MOST_DIGITS])
    then_s = _seconds(retry_after)
    if then_s is None:
        return None
    there_s = _seconds(date) if date is not None else None
    return max(0.0, then_s - (now_s if there_s is None else there_s))


def _seconds(date: bytes) -> float | None:
    """Return an HTTP date in seconds since 1970, in any of its three forms; GMT is meant."""
    try:
        told = parsedate_to_datetime(date.decode("latin-1"))
        return (told.replace(tzinfo=UTC) if told.tzinfo is None else told).timestamp()
    except (ValueError, OverflowError):
        return None
