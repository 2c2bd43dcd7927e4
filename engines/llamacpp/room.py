"""How long a prompt may be.

Owns: what is said of one that is empty or too long, before and after its tokens are known.
Must not: read a text.
"""

from engines.llamacpp.vocabulary import Vocabulary
from engines.protocol.errors import ContextLengthExceeded, InvalidRequest


class Room:
    """The room that a model's context has for prompts, in tokens."""

    def __init__(self, vocabulary: Vocabulary, context: int) -> None:
        self._vocabulary = vocabulary
        self._context = context

    def check_text(self, text: str, param: str) -> None:
        """Refuse a text that cannot fit, before minutes and gigabytes go into reading it.

        Raises:
            ContextLengthExceeded: even of the longest tokens it would be too many.
        """
        fewest = self._vocabulary.fewest(text)
        if fewest > self._context:
            raise self._too_long(f"The prompt has at least {fewest}", param)

    def check(self, tokens: int, param: str, *, answer: int, who: str = "The prompt") -> None:
        """Refuse a prompt that leaves no room for an `answer` of as many tokens.

        Raises:
            InvalidRequest: it is empty, or too long.
        """
        if tokens == 0:
            raise InvalidRequest(f"{who} is empty.", param=param)
        if tokens + answer > self._context:
            raise self._too_long(f"{who} has {tokens}", param)

    def _too_long(self, what: str, param: str) -> ContextLengthExceeded:
        return ContextLengthExceeded(
            f"{what} tokens, and this model's context length is "
            f"{self._context} tokens, the answer's included. Shorten the {param}.",
            param=param,
        )
