"""Tokens per second over the last ten seconds.

Owns: the window. Must not: read a clock; the caller tells the time.
"""

WINDOW_S = 10


class Throughput:
    """Counts tokens in slots of one second; a slot is dropped when it leaves the window.

    The window ends now and begins `WINDOW_S` seconds ago. Times are seconds of any clock that
    does not go back.
    """

    def __init__(self) -> None:
        self._slots = [0] * WINDOW_S
        self._slot_s = [-WINDOW_S - 1] * WINDOW_S

    def add(self, tokens: int, now_s: float) -> None:
        """Count `tokens` at `now_s`."""
        second = int(now_s)
        index = second % WINDOW_S
        if self._slot_s[index] != second:
            self._slot_s[index] = second
            self._slots[index] = 0
        self._slots[index] += tokens

    def per_second(self, now_s: float) -> float:
        """Return the mean rate over the window; 0 when idle."""
        second = int(now_s)
        tokens = sum(
            count
            for count, slot_s in zip(self._slots, self._slot_s, strict=True)
            if second - WINDOW_S < slot_s <= second
        )
        return max(0, tokens) / WINDOW_S
