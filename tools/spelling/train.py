"""Learns how words are spelled: from everyday words, the corpus of tasks, and `texts/`.

    python -m tools.spelling.train

Owns: what is counted, how counts are smoothed, and which runs of letters are kept.
Must not: be needed by the gateway: what it writes is `gateway/classify/data/spelling.bin`.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.classify.everyday import Everyday
from gateway.classify.plain import plain
from gateway.classify.scripts import SHARED
from gateway.classify.spelling import FILE, LETTERS, STEP, SpellingFile, Table
from tools.task_model.rows import read_corpus

TEXTS = Path(__file__).parent / "texts"  # everyday sentences, where the corpus has hardly any
TARGET = Path(__file__).parents[2] / "gateway" / "classify" / "data" / FILE
_ROW_CHARS = 400
_LONGEST_WORD = 24
# What all words of a language's texts count together, where one of the lists counts 1; each by the
# logarithm of how often it is there. So nobody looks likely for having few texts, or many.
_TEXTS_COUNT = 3_000
_MOST_COUNT = 3.0
_CAUTION = 4.0  # how many letters must have been seen to believe them as much as shorter runs
_ALPHABET = 40
_RARE = 1.5  # the longest runs that were seen no oftener in all languages are left out

Texts = Mapping[str, Mapping[str, int]]  # by language, how often a word is there
Counts = Mapping[str, Mapping[str, float]]  # by run of letters, then by language


def main() -> None:
    """Write the file anew and say how large it is."""
    file = learn(Everyday(), read_texts()).dump()
    TARGET.write_bytes(file)
    print(f"{TARGET.name}: {len(file):,} bytes")


def read_texts() -> Texts:
    """Return how often each language's texts have each word."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for source in read_corpus():
        for row in source.rows:
            counts[row.language].update(plain(row.text[:_ROW_CHARS]).split())
    for file in sorted(TEXTS.glob("*.txt")):
        counts[file.stem].update(plain(file.read_text("utf-8")).split())
    return counts


def learn(everyday: Everyday, texts: Texts) -> SpellingFile:
    """Return how the languages of each script spell."""
    tables = {
        script: _table(sorted(languages), everyday.words, texts, script)
        for script, languages in SHARED.items()
    }
    return SpellingFile(digest_of(everyday, texts), tables)


def digest_of(everyday: Everyday, texts: Texts) -> str:
    """Return what ties the file to the words that it was learned from."""
    digest = hashlib.sha256()
    for word, languages in sorted(everyday.words.items()):
        digest.update(f"{word} {sorted(languages)}\n".encode())
    for language in sorted(texts):
        digest.update(f"{language} {sorted(texts[language].items())}\n".encode())
    return digest.hexdigest()[:16]


def _table(
    languages: list[str],
    everyday: Mapping[str, tuple[str, ...]],
    texts: Texts,
    script: str,
) -> Table:
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for language, word, weight in _weighed(languages, everyday, texts, script):
        for run in _runs(word):
            counts[run][language] += weight
    return Table(tuple(languages), dict(_rows(counts, languages)))


def _weighed(
    languages: list[str],
    everyday: Mapping[str, tuple[str, ...]],
    texts: Texts,
    script: str,
) -> Iterator[tuple[str, str, float]]:
    known = frozenset(languages)
    for word, who in everyday.items():
        for language in who:
            if language in known:
                yield language, word, 1.0
    for language in languages:
        counts = {
            word: math.log1p(count)
            for word, count in texts.get(language, {}).items()
            if 1 < len(word) <= _LONGEST_WORD and (script == "latin" or not word.isascii())
        }
        scale = min(_MOST_COUNT, _TEXTS_COUNT / (sum(counts.values()) or 1))
        for word, count in counts.items():
            yield language, word, scale * count


def _runs(word: str) -> Iterator[str]:
    framed = f" {word} "
    for start in range(len(framed)):
        for end in range(start + 1, min(start + LETTERS, len(framed)) + 1):
            yield framed[start:end]


def _rows(counts: Counts, languages: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield each run's row; a shorter run comes first, as longer ones build on it."""
    single = [seen for run, seen in counts.items() if len(run) == 1]
    letters = {one: sum(seen.get(one, 0.0) for seen in single) for one in languages}
    likely: dict[str, list[float]] = {"": [1 / _ALPHABET] * len(languages)}
    for run in sorted(counts, key=lambda run: (len(run), run)):
        seen = counts[run]
        if len(run) == LETTERS and sum(seen.values()) <= _RARE:
            continue
        before = letters if len(run) == 1 else counts[run[:-1]]
        likely[run] = [
            (seen.get(one, 0.0) + _CAUTION * shorter) / (before.get(one, 0.0) + _CAUTION)
            for one, shorter in zip(languages, likely[run[1:]], strict=True)
        ]
        yield run, bytes(min(255, round(-math.log(share) / STEP)) for share in likely[run])


if __name__ == "__main__":
    main()
