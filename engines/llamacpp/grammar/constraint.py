"""One sequence under a grammar: the tokens that may come next, and when it is complete.

Owns: a matcher for each sequence, and the thread that computes masks while llama.cpp decodes.
Must not: draw tokens or know text.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # a worker that never sees a grammar does without llguidance
    from llguidance import LLMatcher

Floats = npt.NDArray[np.float32]
Banned = npt.NDArray[np.bool_]


class GrammarTooHard(Exception):
    """llguidance gave up on a grammar in the middle of an answer."""


class Compiled:
    """A grammar that was read; any number of sequences start from it.

    `param` is the request's field that asked for it.
    """

    def __init__(self, matcher: "LLMatcher", vocabulary_size: int, param: str) -> None:
        self.param = param
        self._matcher = matcher
        self._size = vocabulary_size

    def start(self) -> "Constraint":
        """Return the grammar at its beginning, for one sequence."""
        return Constraint(self._matcher.deep_copy(), self._size)


class Constraint:
    """Mutable; the batcher's thread asks, applies and takes, in this order for each token.

    Asking again before taking changes nothing: a sequence that was preempted goes on as it was.
    With a guess at the next tokens, what may follow each of them is computed too: whoever takes
    just these need not ask in between.
    """

    def __init__(self, matcher: "LLMatcher", vocabulary_size: int) -> None:
        self._matcher = matcher
        self._size = vocabulary_size
        self._bits = np.zeros((vocabulary_size + 31) // 32, dtype=np.int32)
        self._banned: deque[Banned] = deque()  # now, and behind each token of the guess
        self._guess: deque[int] = deque()
        self._asked: Future[None] | None = None

    def fits(self, guess: Sequence[int]) -> int:
        """Return how many first tokens of a guess are allowed."""
        self._settle()
        return self._matcher.validate_tokens([*guess])

    def forced(self) -> Sequence[int]:
        """Return tokens that spell the only text that may come next, if there is only one."""
        self._settle()
        return self._matcher.compute_ff_tokens()

    def ask(self, pool: ThreadPoolExecutor, guess: Sequence[int] = ()) -> None:
        """Begin to compute which tokens may come next, and behind each token of a guess."""
        if self._asked is None and not self._banned:
            self._asked = pool.submit(self._compute, guess)

    def apply(self, logits: Floats) -> None:
        """Make what must not come next impossible in `logits` [vocabulary].

        Raises:
            GrammarTooHard: what may come next cannot be computed within llguidance's bounds.
        """
        self._settle()
        if not self._banned:
            self._compute()
        if self._matcher.is_error():
            raise GrammarTooHard(self._why())
        np.copyto(logits, -np.inf, where=self._banned[0])

    def take(self, token: int) -> bool:
        """Go on by a token that came; say whether nothing more may come.

        Raises:
            GrammarTooHard: as for `apply`, or the token was not allowed.
        """
        self._settle()
        if self._guess and self._guess.popleft() == token:
            self._banned.popleft()
        else:
            self._guess.clear()
            self._banned.clear()
        if not self._matcher.consume_token(token):
            raise GrammarTooHard(self._why())
        return self._matcher.is_stopped()

    def _why(self) -> str:
        """Return what llguidance says, without the mark of what it leaves out."""
        return self._matcher.get_error().partition("\n<")[0]

    def _settle(self) -> None:
        """Wait for what was asked: two threads may not use the matcher at once."""
        if self._asked is not None:
            asked, self._asked = self._asked, None
            asked.result()

    def _compute(self, guess: Sequence[int] = ()) -> None:
        self._banned.append(self._mask(self._matcher))
        # A copy goes ahead: one that finds what comes behind a guess too hard ends nobody's answer.
        ahead = self._matcher.deep_copy() if guess else self._matcher
        for token in guess:
            if not ahead.consume_token(token) or ahead.is_stopped():
                return
            mask = self._mask(ahead)
            if ahead.is_error():
                return
            self._guess.append(token)
            self._banned.append(mask)

    def _mask(self, matcher: "LLMatcher") -> Banned:
        matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        banned = np.unpackbits(~self._bits.view(np.uint8), count=self._size, bitorder="little")
        return banned.view(np.bool_)
