"""What is known of one text before its task is judged.

Owns: which lexicon a text is read with, and how much of it.
Must not: judge.
"""

from collections.abc import Mapping

import msgspec

from gateway.classify.lexicon import Lexicon, read_file
from gateway.classify.phrases import Passage, Phrases, Said, phrases_of
from gateway.classify.plain import plain
from gateway.classify.reading import Text
from gateway.classify.signs import Signs, signs_of
from gateway.classify.task_features import Features, features_of

_HEAD_CHARS = 900
_TAIL_CHARS = 300
_SEE = {"zh-Hant": "zh", "sk": "cs", "sr": "hr", "bs": "hr"}  # near enough to be read alike


class Evidence(msgspec.Struct, frozen=True):
    """What the phrases of a text say, and its features."""

    said: Said | None
    features: Features


class EvidenceReader:
    """Reads texts. Built once, then read only."""

    def __init__(self, lexicons: Mapping[str, Lexicon]) -> None:
        """Take the lexicons by language; English must be among them."""
        self._lexicons = lexicons
        self._programming = frozenset(read_file("programming.toml")["words"].split())

    def read(self, text: Text) -> Evidence:
        """Return what a text shows; any text will do."""
        signs = signs_of(text)
        prose = text.prose
        if len(prose) > _HEAD_CHARS + _TAIL_CHARS:
            prose = f"{prose[:_HEAD_CHARS]} {prose[-_TAIL_CHARS:]}"
        whole = text.asked if prose.strip() == text.instruction else plain(prose)
        told = text.asked.split()
        passage = Passage(whole, told if whole == text.asked else whole.split(), told)
        phrases, said = self._phrases(text, passage, signs)
        features = features_of(text, passage, signs, phrases, said, programming=self._programming)
        return Evidence(said, features)

    def _phrases(self, text: Text, passage: Passage, signs: Signs) -> tuple[Phrases, Said | None]:
        """Read with the text's own lexicon, then with English, which code is full of."""
        english = self._lexicons["en"]
        language = text.language
        own = self._lexicons.get(_SEE.get(language, language), english)
        phrases = phrases_of(own, text, passage, signs)
        said = phrases.verdict()
        if said is not None or own is english:
            return phrases, said
        other = phrases_of(english, text, passage, signs)
        said = other.verdict()
        return (phrases if said is None else other), said
