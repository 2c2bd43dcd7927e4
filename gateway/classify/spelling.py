"""What a word that no list holds looks like: which languages spell their words so.

Owns: how often three letters follow each other in each language's everyday words.
Must not: know more of a language than `gateway.classify.everyday` does.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

_LETTERS = 3
_SCALE = 1_000  # everyday words of a language have about so many triples of letters
_LONGEST_WORD = 24  # so the time is bounded


class Spelling:
    """Learns from lists of words; built once, then read only."""

    def __init__(self, words: Mapping[str, tuple[str, ...]]) -> None:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        totals: Counter[str] = Counter()
        for word, languages in words.items():
            for triple in _triples(word):
                counts[triple].update(languages)
                totals.update(languages)
        self._weights = {
            triple: tuple(
                (language, math.log1p(count * _SCALE / totals[language]))
                for language, count in seen.items()
            )
            for triple, seen in counts.items()
        }

    def likeness(self, words: Iterable[str]) -> dict[str, float]:
        """Return how much the words look like each language's: 0 is not at all, no upper end."""
        found: dict[str, float] = defaultdict(float)
        weights = self._weights
        for word in words:
            for triple in _triples(word[:_LONGEST_WORD]):
                for language, weight in weights.get(triple, ()):
                    found[language] += weight
        return found


def _triples(word: str) -> Iterator[str]:
    framed = f" {word} "
    return (framed[at : at + _LETTERS] for at in range(len(framed) - _LETTERS + 1))
