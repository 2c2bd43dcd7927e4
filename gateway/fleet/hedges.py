"""When a request that has no first byte yet is sent to a second replica as well.

Owns: how long first bytes take lately, and how many requests may be doubled.
Must not: read a clock, lease or send.
"""

from collections import deque
from dataclasses import dataclass

from gateway.fleet.budget import RetryBudget

_REMEMBERED = 256
_ENOUGH = 20
# How often the percentile is worked out again.
_EVERY = 8


@dataclass(frozen=True, slots=True)
class HedgeRule:
    """After which percentile of first bytes, of what share of requests, after how long at least."""

    percentile: float
    share: float
    least_s: float


class FirstBytes:
    """The last times until a first byte, and their percentile."""

    def __init__(self, percentile: float) -> None:
        self._percentile = percentile
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._fresh = 0
        self._found: float | None = None

    def note(self, seconds: float) -> None:
        """Note how long one has taken."""
        self._seconds.append(seconds)
        self._fresh += 1

    def late_after_s(self) -> float | None:
        """Return the percentile, None before enough are known."""
        if len(self._seconds) < _ENOUGH:
            return None
        if self._found is None or self._fresh >= _EVERY:
            ordered = sorted(self._seconds)
            place = int(len(ordered) * self._percentile / 100)
            self._found, self._fresh = ordered[min(place, len(ordered) - 1)], 0
        return self._found


class Hedge:
    """One model's; used from the event loop's thread only.

    Streams and whole answers are told apart: of these the first byte is nearly the last.
    """

    def __init__(self, rule: HedgeRule) -> None:
        self._rule = rule
        self._budget = RetryBudget(rule.share)
        self._times = {streams: FirstBytes(rule.percentile) for streams in (False, True)}

    def asked(self, *, streams: bool) -> float | None:
        """Note a new request; return after how many seconds it is late, None where nobody knows."""
        self._budget.earn()
        late_s = self._times[streams].late_after_s()
        return None if late_s is None else max(late_s, self._rule.least_s)

    def began(self, seconds: float, *, streams: bool) -> None:
        """Note that an answer has begun so long after its request was sent."""
        self._times[streams].note(seconds)

    def may(self) -> bool:
        """Take one of the requests that may be doubled, if there is one; say whether there was."""
        return self._budget.spend()

    def not_doubled(self) -> None:
        """Note that a request that might have been doubled was not: no other replica was free."""
        self._budget.give_back()
