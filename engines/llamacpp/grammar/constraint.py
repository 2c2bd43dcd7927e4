"""One sequence under a grammar: the tokens that may come next, and when it is complete.

Owns: a matcher for each sequence, and the thread that computes masks while llama.cpp decodes.
Must not: draw tokens or know text.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # a worker that never sees a grammar does without llguidance
    from llguidance import LLMatcher

Floats = npt.NDArray[np.float32]


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
    """

    def __init__(self, matcher: "LLMatcher", vocabulary_size: int) -> None:
        self._matcher = matcher
        self._size = vocabulary_size
        self._bits = np.zeros((vocabulary_size + 31) // 32, dtype=np.int32)
        self._banned = np.zeros(vocabulary_size, dtype=np.bool_)
        self._asked: Future[None] | None = None

    def ask(self, pool: ThreadPoolExecutor) -> None:
        """Begin to compute which tokens may come next."""
        if self._asked is None:
            self._asked = pool.submit(self._compute)

    def apply(self, logits: Floats) -> None:
        """Make what must not come next impossible in `logits` [vocabulary].

        Raises:
            GrammarTooHard: what may come next cannot be computed within llguidance's bounds.
        """
        if self._asked is None:
            self._compute()
        else:
            self._asked.result()
        if self._matcher.is_error():
            raise GrammarTooHard(self._matcher.get_error())
        np.copyto(logits, -np.inf, where=self._banned)

    def take(self, token: int) -> bool:
        """Go on by a token that came; say whether nothing more may come.

        Raises:
            GrammarTooHard: as for `apply`, or the token was not allowed.
        """
        self._asked = None
        if not self._matcher.consume_token(token):
            raise GrammarTooHard(self._matcher.get_error())
        return self._matcher.is_stopped()

    def _compute(self) -> None:
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        banned = np.unpackbits(~self._bits.view(np.uint8), count=self._size, bitorder="little")
        self._banned = banned.view(np.bool_)
