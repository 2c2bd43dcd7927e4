"""Words, letters and set phrases by which languages of one script are told apart.

Owns: the format of `data/everyday/`, and which languages a text's words speak for.
Must not: weigh what they say against anything else (`gateway.classify.language` does).
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from gateway.classify.lexicon import read_data
from gateway.classify.plain import plain

NO_LANGUAGE = "und"

_VOTING_WORDS = 40
_FIELD_BITS = 8
_MOST_VOTES = (1 << _FIELD_BITS) - 1
_LONG_WORD = 3  # a shorter one without its accents is another word
# Letters that stand for a plain one, but that Unicode does not take for it with a mark.
_BARE = str.maketrans("łđıøæœ", "ldioao")
# Without their marks the words of these languages could be anything: nobody writes them so.
_KEEPS_MARKS = frozenset({"vi"})
_NOBODY: tuple[str, ...] = ()


class Votes:
    """What a text says: for which languages its words and letters speak, and how many of them.

    `counts` are votes by the language's place in `Everyday.languages`, `of_letters` those of them
    that letters have given. The rest is looked up only where it is asked for.
    """

    __slots__ = ("_everyday", "_known", "_words", "counts", "of_letters")

    def __init__(
        self,
        everyday: "Everyday",
        known: Mapping[str, tuple[str, ...]],
        words: Collection[str],
        counts: Sequence[int],
        of_letters: Sequence[int],
    ) -> None:
        self._everyday = everyday
        self._known = known
        self._words = words
        self.counts = counts
        self.of_letters = of_letters

    @property
    def heard(self) -> int:
        """How many words were looked at."""
        return len(self._words)

    def by_language(self) -> dict[str, tuple[int, int]]:
        """Return the votes of each language that has any: of words, and of letters."""
        named = zip(self._everyday.languages, self.counts, self.of_letters, strict=True)
        return {one: (count - letters, letters) for one, count, letters in named if count}

    def of(self, place: int) -> tuple[int, int]:
        """Return the votes of one language by its place: of words, and of letters."""
        letters = self.of_letters[place]
        return self.counts[place] - letters, letters

    def alone(self) -> Mapping[str, int]:
        """Return the votes by words that no other language has, or that others hardly use."""
        known, mostly = self._known, self._everyday.mostly
        chosen = [(word, known[word]) for word in self._words if word in known]
        return Counter([mostly.get(word, who[0]) for word, who in chosen if self._tells(word, who)])

    def _tells(self, word: str, languages: Sequence[str]) -> bool:
        return len(languages) == 1 or word in self._everyday.mostly


class Everyday:
    """All languages' everyday words. Built once, then read only."""

    def __init__(self) -> None:
        self.words: dict[str, tuple[str, ...]] = {}
        self._exact: dict[str, tuple[str, ...]] = {}  # with their accents alone
        self.mostly: dict[str, str] = {}  # whose a word is, though its kin have it too
        self.rare: dict[str, float] = {}  # how much they are less likely, as a logarithm
        self._letters: dict[str, tuple[str, ...]] = {}
        self._phrases: dict[str, tuple[str, ...]] = {}
        for language, data in read_data("everyday"):
            self._read(language, data)
        speaking = chain(self.words.values(), self._letters.values())
        self.languages = tuple(sorted(set(chain.from_iterable(speaking))))
        letters = Counter(chain.from_iterable(self._letters.values()))
        if max(letters.values(), default=0) + _VOTING_WORDS > _MOST_VOTES:
            raise ValueError(f"data/everyday: {letters.most_common(1)} are too many letters")
        # All languages' votes in one integer, each in a field of its own. Many words have the same
        # languages: these are kept once.
        vote = {one: 1 << _FIELD_BITS * at for at, one in enumerate(self.languages)}
        everybody = chain(self.words.values(), self._exact.values(), self._letters.values())
        one_of = {who: who for who in everybody}
        votes = {who: sum(map(vote.__getitem__, who)) for who in one_of}
        self.words = {word: one_of[who] for word, who in self.words.items()}
        self._exact = {word: one_of[who] for word, who in self._exact.items()}
        self._votes = {word: votes[who] for word, who in self.words.items()}
        self._exact_votes = {word: votes[who] for word, who in self._exact.items()}
        self._letter_votes = {sign: votes[who] for sign, who in self._letters.items()}

    def _read(self, language: str, data: Mapping[str, Any]) -> None:
        words = data.get("words", "").split()
        for written in _spellings(words, language):
            _file(self.words, written, language)
        for word in words:
            if word in self.words:
                _file(self._exact, word, language)
        for word in data.get("mostly", "").split():
            _file(self.words, word, language)
            _file(self._exact, word, language)
            self.mostly[word] = language
        for letter in data.get("letters", ""):
            _file(self._letters, letter, language)
        for phrase in data.get("phrases", ()):
            _file(self._phrases, plain(phrase).strip(), language)
        if "rare" in data:
            self.rare[language] = data["rare"]

    def said_in(self, spaced: str) -> tuple[str, ...]:
        """Return the languages in which the whole text is a set phrase, `und` among them."""
        return self._phrases.get(spaced.strip(), _NOBODY)

    def known_to(self, spaced: str) -> frozenset[str]:
        """Return the languages that have all words of a text."""
        speakers = [frozenset(self.words.get(word, ())) for word in spaced.split()]
        return frozenset.intersection(*speakers) if speakers else frozenset()

    def votes(self, spaced: str) -> Votes:
        """Count the votes of a text that `plain` returned.

        Each of its first words has one, and so has each letter that not every alphabet has.
        """
        words = set(spaced.split(None, _VOTING_WORDS)[:_VOTING_WORDS])
        width = len(self.languages)
        if spaced.isascii():
            total = sum(filter(None, map(self._votes.get, words)))
            return Votes(self, self.words, words, total.to_bytes(width, "little"), bytes(width))
        # Who writes one accent leaves out none.
        total = sum(filter(None, map(self._exact_votes.get, words)))
        letters = sum(filter(None, map(self._letter_votes.get, set(spaced))))
        counts = (total + letters).to_bytes(width, "little")
        return Votes(self, self._exact, words, counts, letters.to_bytes(width, "little"))


def _file(index: dict[str, tuple[str, ...]], key: str, language: str) -> None:
    if language not in index.get(key, ()):
        index[key] = (*index.get(key, ()), language)


def _spellings(words: Iterable[str], language: str) -> Iterator[str]:
    """Yield the words, and how people write them on a keyboard that lacks their accents.

    Single letters from A to Z are left out: they are the unknowns of equations.
    """
    for word in words:
        if len(word) == 1 and word.isascii():
            continue
        yield word
        if word.isascii():
            continue
        marked = unicodedata.normalize("NFD", word.translate(_BARE))
        bare = "".join(sign for sign in marked if not unicodedata.combining(sign))
        if language not in _KEEPS_MARKS and len(word) >= _LONG_WORD and bare.isascii():
            yield bare
