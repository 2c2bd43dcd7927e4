"""Text that arrives in pieces, for readers that wait where there is none yet.

Owns: what has arrived and what of it was read. A reader is a generator that yields while it
waits; so a grammar is written as if the text were whole, and reads the same however it was cut.
Must not: know what it carries.
"""

import re
from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]

SPACES = " \t\r\n"


class Tape:
    """Owned by one reader, which remembers with `begin` where it may have to go back to.

    `known`: how many characters behind that place somebody has told already.
    """

    def __init__(self) -> None:
        self.known = 0
        self._text = ""
        self._at = 0
        self._ended = False

    def add(self, text: str) -> None:
        """Take the next piece."""
        self._text += text

    def end(self) -> None:
        """Say that no more will come."""
        self._ended = True

    def know(self) -> None:
        """Take all that has arrived for told."""
        self.known = len(self._text)

    def begin(self) -> None:
        """Let go of what was read."""
        self.known = max(0, self.known - self._at)
        self._text, self._at = self._text[self._at :], 0

    def rewind(self) -> None:
        """Go back to the last `begin`."""
        self._at = 0

    @property
    def position(self) -> int:
        """How many characters were read since the last `begin`."""
        return self._at

    @property
    def since(self) -> str:
        """What was read since the last `begin`."""
        return self._text[: self._at]

    def peek(self) -> Steps[str]:
        """Return the next character, which stays unread; "" at the end of the text."""
        while self._at == len(self._text) and not self._ended:
            yield
        return self._text[self._at : self._at + 1]

    def skip(self, count: int = 1) -> None:
        """Read characters that were looked at."""
        self._at += count

    def arrived(self, pattern: re.Pattern[str]) -> Steps[str]:
        """Read what has arrived of a run of characters; "" where another one comes next.

        It waits for the first only: more of the run may arrive later.
        """
        yield from self.peek()
        found = pattern.match(self._text, self._at)
        text = found.group() if found else ""
        self._at += len(text)
        return text

    def comes(self, texts: Sequence[str]) -> Steps[str]:
        """Return which of `texts` comes next, unread; "" where none does.

        It waits only while what is there may become one of them. None may begin another.
        """
        longest = max(map(len, texts), default=0)
        while True:
            ahead = self._text[self._at : self._at + longest]
            found = next((text for text in texts if ahead.startswith(text)), "")
            if found or self._ended or not any(text.startswith(ahead) for text in texts):
                return found
            yield

    def literal(self, text: str) -> Steps[bool]:
        """Read `text` where it comes next; say whether it did. "" always does."""
        if text and not (yield from self.comes((text,))):
            return False
        self.skip(len(text))
        return True

    def run(self, characters: str) -> Steps[str]:
        """Read as many of these characters as there are; return them."""
        start = self._at
        while True:
            char = yield from self.peek()
            if not char or char not in characters:
                return self._text[start : self._at]
            self.skip()

    def closing(self, text: str) -> Steps[bool]:
        """Read white space and `text` where they come next; leave both otherwise."""
        start = self._at
        yield from self.run(SPACES)
        if (yield from self.literal(text)):
            return True
        self._at = start
        return False

    def before(self, texts: Sequence[str]) -> Steps[str]:
        """Read what has arrived in front of the first of `texts`; "" where one comes next.

        At the end of the text as well. Only what may become one of them is kept back.
        """
        while True:
            cut, found = self._sure(texts)
            if cut > self._at or found or self._ended:
                text = self._text[self._at : cut]
                self._at = cut
                return text
            yield

    def until(
        self, texts: Sequence[str], say: Callable[[str], None], *, trimmed: bool = False
    ) -> Steps[None]:
        """Say what comes before the first of `texts`, which stays unread, or the end.

        Only what may become one of them is kept back; with `trimmed`, white space as well, which
        before one of `texts` is dropped. Lets go of what was read.
        """
        self.begin()
        while True:
            cut, found = self._sure(texts)
            over = self._ended and not found
            shown = self._text[:cut]
            if trimmed and not over:
                shown = shown.rstrip(SPACES)
            say(shown)
            self._at = cut if found else len(shown)
            self.begin()
            if found or over:
                return
            yield

    def _sure(self, texts: Sequence[str]) -> tuple[int, bool]:
        """Return up to where none of `texts` begins, and whether one of them stands there."""
        places = [at for at in (self._text.find(text, self._at) for text in texts) if at >= 0]
        if places or self._ended:
            return min(places, default=len(self._text)), bool(places)
        ahead = self._text[self._at :]
        kept = max((_overlap(ahead, text) for text in texts), default=0)
        return len(self._text) - kept, False


def _overlap(text: str, wanted: str) -> int:
    """Return how many last characters of `text` are the beginning of `wanted`."""
    longest = min(len(text), len(wanted) - 1)
    return next((n for n in range(longest, 0, -1) if wanted.startswith(text[-n:])), 0)
