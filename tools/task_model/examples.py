"""Rows of the corpus as the gateway reads them.

Owns: rows -> features, and features -> numbers.
Must not: read in any other way than the gateway does.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.classify.answer_language import AnswerLanguageFinder
from gateway.classify.language import LanguageFinder
from gateway.classify.lexicon import load_lexicons
from gateway.classify.reading import Reader, greetings_of, openings_of
from gateway.classify.task_evidence import EvidenceReader
from gateway.config.weighing import LanguageSection
from tools.task_model.rows import TASKS, Source

Ids = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int64]
_LEAST_ROWS = 2  # a feature of one row alone is learnt by heart


@dataclass(frozen=True, slots=True)
class Example:
    """A row read: `before` are the features of the turn before, empty where there is none."""

    source: str
    task: int
    chars: int
    features: Collection[str]
    before: Collection[str]


def read_examples(sources: Iterable[Source]) -> list[Example]:
    """Read every row."""
    lexicons = load_lexicons()
    languages = LanguageFinder(LanguageSection().undecided_below)
    answers = AnswerLanguageFinder()
    turns = Reader(languages, answers, openings_of(lexicons, answers), greetings_of(lexicons))
    evidence = EvidenceReader(lexicons)

    def features(text: str) -> Collection[str]:
        read = turns.read(text).text
        return evidence.read(turns.wanted(read, turns.named(read))).features.all_names()

    return [
        Example(
            source.name,
            TASKS.index(row.task),
            len(row.text),
            features(row.text),
            features(row.history[-1]) if row.history else (),
        )
        for source in sources
        for row in source.rows
    ]


def vocabulary_of(examples: Sequence[Example]) -> dict[str, int]:
    """Number the features that are worth learning."""
    counts = Counter(name for example in examples for name in example.features)
    return {
        name: number
        for number, name in enumerate(sorted(n for n, c in counts.items() if c >= _LEAST_ROWS))
    }


def ids_of(features: Collection[str], vocabulary: Mapping[str, int]) -> Ids:
    """Return the numbers of the features that are known, in order."""
    return np.array(sorted(vocabulary[n] for n in features if n in vocabulary), dtype=np.int64)


def labels_of(examples: Sequence[Example]) -> Labels:
    """Return the tasks' numbers."""
    return np.array([example.task for example in examples], dtype=np.int64)
