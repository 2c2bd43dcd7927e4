"""A bound on thoughts: when it is reached, the closing tag is put into the model's mouth.

Owns: counting the tokens of a thought.
Must not: draw or force tokens; `engines.llamacpp.sequence` does.
"""

import codecs
from dataclasses import dataclass

from engines.llamacpp.speech.speech import Tags
from engines.llamacpp.speech.tape import SPACES


@dataclass(frozen=True, slots=True)
class ThoughtBudget:
    """At most `most_tokens` in a thought; `closing_tokens` then end it.

    `inside`: the prompt has opened the thought.
    """

    tags: Tags
    inside: bool
    most_tokens: int
    closing_tokens: tuple[int, ...]


class ThoughtMeter:
    """Follows one answer, token by token; a thought stands only at its beginning."""

    def __init__(self, budget: ThoughtBudget) -> None:
        self._budget = budget
        self._tags = budget.tags
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._inside = budget.inside
        self._before = not budget.inside
        self._seen = ""
        self._tokens = 0

    def take(self, piece: bytes) -> None:
        """Take the bytes of the next token."""
        self._seen += self._decoder.decode(piece)
        if self._before:
            self._open()
        elif self._inside:
            self._tokens += 1
            self._inside = self._tags.closing not in self._seen
            self._seen = self._seen[-len(self._tags.closing) :]

    def spent(self) -> bool:
        """Say whether the thought must end now; never in the middle of a character."""
        whole = not self._decoder.getstate()[0]
        return self._inside and whole and self._tokens >= self._budget.most_tokens

    def close(self) -> tuple[int, ...]:
        """Return the tokens that end the thought; it counts as ended."""
        self._inside = False
        return self._budget.closing_tokens

    def _open(self) -> None:
        text, opening = self._seen.lstrip(SPACES), self._tags.opening
        if text.startswith(opening):
            self._before, self._inside = False, True
            self._seen = text.removeprefix(opening)
        elif not opening.startswith(text):
            self._before = False
