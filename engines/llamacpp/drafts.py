"""Guesses at what comes next, copied from the text so far: what followed its last tokens before.

Owns: where short runs of tokens stood in one text, and whether guesses have paid for themselves.
Must not: evaluate or draw; a guess is only worth what the model then says of it.
"""

from collections.abc import Sequence

# Fewer tokens stand before by chance too often, more miss copies that begin with a new word.
_RUN = 3
# With the token before them 4 or 8 rows: between these a row costs as much as those up to the next.
_SHORT, LONGEST_DRAFT = 3, 7
# What a row more costs, in steps of one row: 0.6 to 0.75 (docs/decisions/0019).
_COST = 0.7
_MOST_CREDIT = 4.0
# Whoever has lost a step says so many tokens without guesses: so at most a fiftieth is lost.
_REST = 50


def affordable(length: int) -> int:
    """Return how many tokens of a guess of this length are worth their rows: 7, 3 or none."""
    return next((n for n in (LONGEST_DRAFT, _SHORT) if n <= length), 0)


class Drafter:
    """Guesses for one text. Mutable; belongs to one sequence.

    Each guess is paid for when it is made and earns its right tokens; who comes into debt rests.
    """

    def __init__(self) -> None:
        self._followed_at: dict[tuple[int, ...], int] = {}  # a run -> where the last one ended
        self._read = _RUN
        self._length = _SHORT
        self._credit = 0.0
        self._again_at = _RUN

    def draft(self, tokens: Sequence[int], most: int, known: Sequence[int] = ()) -> tuple[int, ...]:
        """Return at most so many tokens that may come next; `tokens` have only grown.

        `known` are what somebody else is all but sure of.
        """
        if len(tokens) < self._again_at:
            return ()
        sure = affordable(min(len(known), most))
        if sure:
            return tuple(known[:sure])
        length = self._length if self._length <= most else _SHORT
        if length > most:
            return ()
        for end in range(self._read, len(tokens)):
            self._followed_at[tuple(tokens[end - _RUN : end])] = end
        self._read = max(self._read, len(tokens))
        at = self._followed_at.get(tuple(tokens[-_RUN:]))
        if at is None:
            return ()
        # What is shorter than the guess goes round.
        found = tokens[at : at + length]
        return tuple(found[n % len(found)] for n in range(length))

    def learn(self, drafted: int, right: int, length: int) -> None:
        """Note how many tokens of a guess were right; the text now has this length."""
        self._length = LONGEST_DRAFT if right == drafted else _SHORT
        self._credit = min(self._credit + right - _COST * drafted, _MOST_CREDIT)
        if self._credit < 0:
            self._again_at = length + round(-self._credit * _REST)
            self._credit = 0.0
