"""Whether a text has the words that requests open or end with, in any language.

Owns: where in a text they must stand; the format of `data/requesting.toml`.
Must not: tell what is requested.
"""

from collections.abc import Iterable, Iterator

from gateway.classify.lexicon import entry_of, read_file
from gateway.classify.plain import plain

_LEADING_WORDS = 3
_TRAILING_WORDS = 2  # where the verb ends the sentence
_LEADING_SIGNS = 8  # of scripts that set no spaces
_TRAILING_SIGNS = 10
_READ_CHARS = 120
_UNSPACED = "\u0e00"  # the scripts from Thai on set no spaces, or end words in many ways
# Shorter beginnings of words mean something else in some other language.
_LEAST_ASCII = 4
_LEAST_LETTERS = 3


class RequestWords:
    """Knows beginnings of the verbs that requests are made with; built once, then read only."""

    def __init__(self, entries: Iterable[str]) -> None:
        known = {entry for entry in entries if _telling(entry)}
        self._stems: dict[str, tuple[str, ...]] = {}
        for entry in known:
            if entry < _UNSPACED:
                head = entry[:_LEAST_LETTERS]
                self._stems[head] = (*self._stems.get(head, ()), entry)
        self._signs: dict[str, tuple[str, ...]] = {}  # by their first
        for entry in known:
            if entry >= _UNSPACED:
                self._signs[entry[0]] = (*self._signs.get(entry[0], ()), entry)

    def asks(self, text: str) -> bool:
        """Say whether the text opens, or ends, as a request does."""
        opening = closing = plain(text[:_READ_CHARS])
        if len(text) > _READ_CHARS:
            closing = plain(text[-_READ_CHARS:])
        words = opening.split()[:_LEADING_WORDS] + closing.split()[-_TRAILING_WORDS:]
        stems = self._stems
        for word in words:
            found = stems.get(word[:_LEAST_LETTERS])
            if found is not None and f"{word} ".startswith(found):
                return True
        if opening.isascii() and closing.isascii():
            return False
        signs = f"{opening[1 : _LEADING_SIGNS + 1]} {closing[-_TRAILING_SIGNS - 1 :]}"
        for at, sign in enumerate(signs):
            found = self._signs.get(sign)
            if found is not None and signs.startswith(found, at):
                return True
        return False


def load_openings() -> Iterator[str]:
    """Yield the entries of `data/requesting.toml`."""
    for entries in read_file("requesting.toml").values():
        yield from map(entry_of, entries)


def _telling(entry: str) -> bool:
    if entry >= _UNSPACED:
        return True
    return len(entry.strip()) >= (_LEAST_ASCII if entry.isascii() else _LEAST_LETTERS)
