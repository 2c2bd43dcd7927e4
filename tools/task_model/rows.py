"""The corpus of prompts that the task model learns from.

Owns: the format of `corpus/*.jsonl` (a source is a file), and the digest that ties weights to it.
Must not: know features.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent / "corpus"
TASKS = (
    "code",
    "extraction",
    "general",
    "math",
    "reasoning",
    "summarization",
    "tool_use",
    "translation",
    "writing",
)


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt, its task, and the language of its instruction; `history` are earlier user turns."""

    text: str
    task: str
    language: str
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """The rows of one file: one register, held out as a whole."""

    name: str
    rows: Sequence[Row]


def read_corpus(folder: Path = FOLDER) -> list[Source]:
    """Return the sources in the order of their names.

    Raises:
        msgspec.ValidationError: a line is no such row.
    """
    return [
        Source(
            file.stem,
            [
                msgspec.json.decode(line, type=Row)
                for line in file.read_bytes().splitlines()
                if line.strip()
            ],
        )
        for file in sorted(folder.glob("*.jsonl"))
    ]


def digest_of(sources: Sequence[Source]) -> str:
    """Return the digest of a corpus; the same rows in the same files have the same."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.name.encode())
        digest.update(msgspec.json.encode(source.rows))
    return digest.hexdigest()[:32]
