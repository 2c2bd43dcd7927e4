"""Rows that stand for nobody, where a step of a few more is over sooner.

Owns: which steps are filled up, as learned from those before.
Must not: evaluate, read a clock, or know whose rows they are.

Matrix products go in blocks of 16 and of 8 rows, and what is left of one can cost more than the
whole of it. Whether it does, and for which number of rows, is the kernels' and the processor's
matter (docs/decisions/0026): so both ways are tried, and tried again now and then.
"""

from dataclasses import dataclass

# As many rows as may be missing to a block of so many.
_MISSING = ((16, 3), (8, 1))
MOST_ADDED = 3
# So often each way is tried before one is judged, and every so many steps the other one again.
_TRIALS = 4
_AGAIN = 32
# What a step tells counts for so much against all those before it.
_NEWEST = 0.2


@dataclass(slots=True)
class _Way:
    """Steps of one number of rows, filled up or not: how many so far, and what one takes."""

    steps: int = 0
    took_s: float = 0.0

    def learn(self, took_s: float) -> None:
        self.took_s += (took_s - self.took_s) * max(_NEWEST, 1 / (self.steps + 1))
        self.steps += 1


class Filling:
    """What steps of so many rows take with and without others. Mutable; belongs to one thread."""

    def __init__(self) -> None:
        self._ways: dict[tuple[int, int], _Way] = {}

    def added(self, rows: int) -> int:
        """Return how many rows a step of so many should have beside them."""
        missing = _missing(rows)
        if not missing:
            return 0
        bare, full = self._way(rows, 0), self._way(rows, missing)
        rarer = min(bare, full, key=lambda way: way.steps)
        if rarer.steps < _TRIALS:
            chosen = rarer
        elif (bare.steps + full.steps) % _AGAIN == 0:
            chosen = max(bare, full, key=lambda way: way.took_s)
        else:
            chosen = min(bare, full, key=lambda way: way.took_s)
        return missing if chosen is full else 0

    def after(self, rows: int, added: int, took_s: float) -> None:
        """Learn from a step of so many rows beside which so many were added."""
        if _missing(rows):
            self._way(rows, added).learn(took_s)

    def _way(self, rows: int, added: int) -> _Way:
        return self._ways.setdefault((rows, added), _Way())


def _missing(rows: int) -> int:
    """Return how many rows are missing to a block that may be worth it."""
    for block, most in _MISSING:
        if 0 < -rows % block <= most:
            return -rows % block
    return 0
