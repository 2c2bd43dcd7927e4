"""The texts of this repository on which estimates are fitted, and what they are with a vocabulary.

Owns: the texts, by source, short and long.
Must not: fit (`fit`).
"""

import itertools
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.llamacpp.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parent.parent.parent
_PROMPTS = ("tests/classify/data/*.jsonl", "tools/task_model/corpus/*.jsonl")
_CODE = (".py", ".md", ".toml", ".yaml", ".yml", ".json", ".jinja", ".conf")
_PIECE_CHARS = 3_000
_JOINED = 12  # prompts of one language, which make a document


@dataclass(frozen=True, slots=True)
class Sample:
    """A text and where it is from: what comes from one source is alike."""

    source: str
    text: str


def prompts_of(file: Path) -> Iterator[Sample]:
    """Yield a file's prompts, and some of one language together: the longer texts are made so."""
    by_language: dict[str, list[str]] = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        by_language[row.get("language") or row.get("prompt_language") or ""].append(row["text"])
        yield Sample(file.stem, row["text"])
    for texts in by_language.values():
        for first in range(0, len(texts), _JOINED):
            yield Sample(file.stem, "\n\n".join(texts[first : first + _JOINED]))


def repository() -> list[Sample]:
    """Return the samples of this repository: prompts, scripts that no prompt has, its own files."""
    files = itertools.chain.from_iterable(sorted(ROOT.glob(pattern)) for pattern in _PROMPTS)
    samples = [sample for file in files for sample in prompts_of(file)]
    scripts = Path(__file__).with_name("scripts.txt").read_text(encoding="utf-8").splitlines()
    samples += [Sample("scripts", line) for line in scripts]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if name.endswith(_CODE):
            text = (ROOT / name).read_text(encoding="utf-8")
            pieces = (text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS))
            samples += [Sample(Path(name).suffix, piece) for piece in pieces]
    return [sample for sample in samples if sample.text.strip()]


def tokens_of(words: Vocabulary, samples: Sequence[Sample]) -> list[int]:
    """Return how many tokens each sample has."""
    return [
        len(words.tokens(sample.text, add_special=False, parse_special=False)) for sample in samples
    ]
