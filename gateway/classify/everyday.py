"""Words, letters and set phrases by which languages of one script are told apart.

Owns: the format of `data/everyday/`, and which languages a text's words speak for.
Must not: weigh what they say against anything else (`gateway.classify.language` does).
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from gateway.classify.lexicon import read_data
from gateway.classify.plain import plain

NO_LANGUAGE = "und"

_VOTING_WORDS = 40
_LONG_WORD = 3  # a shorter one without its accents is another word
# Letters that stand for a plain one, but that Unicode does not take for it with a mark.
_BARE = str.maketrans("łđıøæœ", "ldioao")
# Without their marks the words of these languages could be anything: nobody writes them so.
_KEEPS_MARKS = frozenset({"vi"})
_NOBODY: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Votes:
    """What a text says: votes by language, how many words voted, those that no language knows."""

    by_language: Mapping[str, int]
    alone: Mapping[str, int]  # of those, by words that no other language has
    voters: int
    strangers: tuple[str, ...]


class Everyday:
    """All languages' everyday words. Built once, then read only."""

    def __init__(self) -> None:
        self.words: dict[str, tuple[str, ...]] = {}
        self.rare: set[str] = set()
        self._letters: dict[str, tuple[str, ...]] = {}
        self._phrases: dict[str, tuple[str, ...]] = {}
        for language, data in read_data("everyday"):
            for written in _spellings(data.get("words", ""), language):
                _file(self.words, written, language)
            for letter in data.get("letters", ""):
                _file(self._letters, letter, language)
            for phrase in data.get("phrases", ()):
                _file(self._phrases, plain(phrase).strip(), language)
            if data.get("rare", False):
                self.rare.add(language)

    def said_in(self, spaced: str) -> tuple[str, ...]:
        """Return the languages in which the whole text is a set phrase, `und` among them."""
        return self._phrases.get(spaced.strip(), _NOBODY)

    def votes(self, spaced: str) -> Votes:
        """Count the votes of a text that `plain` returned.

        Each of its first words has one, and so has each letter that not every alphabet has.
        """
        known = self.words
        words = set(spaced.split(None, _VOTING_WORDS)[:_VOTING_WORDS])
        voters = known.keys() & words
        chosen = [known[word] for word in voters]
        votes = Counter(chain.from_iterable(chosen))
        alone = Counter([languages[0] for languages in chosen if len(languages) == 1])
        if not spaced.isascii():
            letters = self._letters
            special = letters.keys() & set(spaced)
            votes.update(chain.from_iterable([letters[letter] for letter in special]))
        return Votes(votes, alone, len(voters), tuple(words - voters))


def _file(index: dict[str, tuple[str, ...]], key: str, language: str) -> None:
    if language not in index.get(key, ()):
        index[key] = (*index.get(key, ()), language)


def _spellings(words: str, language: str) -> Iterator[str]:
    """Yield the words, and how people write them on a keyboard that lacks their accents.

    Single letters from A to Z are left out: they are the unknowns of equations.
    """
    for word in words.split():
        if len(word) == 1 and word.isascii():
            continue
        yield word
        marked = unicodedata.normalize("NFD", word.translate(_BARE))
        bare = "".join(sign for sign in marked if not unicodedata.combining(sign))
        if language not in _KEEPS_MARKS and len(word) >= _LONG_WORD and bare.isascii():
            yield bare
