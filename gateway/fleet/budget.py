"""How many requests may be tried again: a share of all, so that a bad hour is no storm.

Owns: the count. Must not: know why a request is tried again.
"""

# So many may be tried again before the share counts: the first ones after a quiet time.
_RESERVE = 10.0


class RetryBudget:
    """Each request adds `share` to what is there for second tries; each of those takes one."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = _RESERVE

    def earn(self) -> None:
        """Note a new request."""
        self._left = min(_RESERVE, self._left + self._share)

    def spend(self) -> bool:
        """Take one try, if there is one; say whether there was."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        """Return a try that was taken and came to nothing."""
        self._left = min(_RESERVE, self._left + 1)
