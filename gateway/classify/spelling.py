"""How words are spelled: which languages put one letter after the others so.

Owns: the format of `data/spelling.bin`, and how likely letters are in each language of a script.
Must not: know words (`gateway.classify.everyday` does); train (`tools/spelling` does).
"""

import functools
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from gateway.classify.widened import widened

FILE = "spelling.bin"
LETTERS = 3  # the letter and the two before it
STEP = 1 / 16  # a byte counts so many natural logarithms of unlikelihood
_FIELD_BYTES = 2  # room for the bytes of 257 letters
_MOST_LETTERS = 64  # so the time is bounded


@dataclass(frozen=True, slots=True)
class Table:
    """A script: its languages, and how unlikely each run of letters ends so in each of them."""

    languages: tuple[str, ...]
    rows: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class SpellingFile:
    """What was learned, by script; `learned_from` is the digest of the words."""

    learned_from: str
    tables: Mapping[str, Table]

    def dump(self) -> bytes:
        """Return the file's bytes; the same tables make the same bytes."""
        head = {
            "learned_from": self.learned_from,
            "tables": {name: table.languages for name, table in self.tables.items()},
        }
        parts = [json.dumps(head).encode()]
        for table in self.tables.values():
            runs = sorted(table.rows)
            parts += ["\n".join(runs).encode(), b"".join(map(table.rows.__getitem__, runs))]
        return zlib.compress(b"".join(len(part).to_bytes(4, "big") + part for part in parts), 9)


def parse_spelling(file: bytes) -> SpellingFile:
    """Return what `SpellingFile.dump` wrote."""
    data, at, parts = zlib.decompress(file), 0, []
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        parts.append(data[at + 4 : end])
        at = end
    head = json.loads(parts[0])
    tables = {}
    for (name, languages), runs, rows in zip(
        head["tables"].items(), parts[1::2], parts[2::2], strict=True
    ):
        width = len(languages)
        starts = range(0, len(rows), width)
        named = zip(runs.decode().split("\n"), starts, strict=True)
        tables[name] = Table(
            tuple(languages), {run: rows[start : start + width] for run, start in named}
        )
    return SpellingFile(head["learned_from"], tables)


@functools.cache
def load_spelling() -> SpellingFile:
    """Read what the package ships; once in a process."""
    return parse_spelling((resources.files("gateway.classify") / "data" / FILE).read_bytes())


class Spelling:
    """Says how likely words are in the languages of one script. Read only."""

    def __init__(self, table: Table) -> None:
        self.languages = table.languages
        self._rows = {run: widened(row, _FIELD_BYTES) for run, row in table.rows.items()}

    def likeness(self, words: Iterable[str]) -> dict[str, float]:
        """Return how much likelier each language spells so than all do on average.

        As logarithms. Letters beyond the first 64 are not looked at.
        """
        rows, total, left = self._rows, 0, _MOST_LETTERS
        for word in words:
            if len(word) == 1 or (word.isascii() and not word.isalpha()):
                continue  # an unknown of an equation, or a number
            framed = f" {word[:left]} "
            left -= len(framed) - 1
            for end in range(2, len(framed) + 1):
                for start in range(max(0, end - LETTERS), end):
                    row = rows.get(framed[start:end])
                    if row is not None:
                        total += row
                        break
            if left <= 0:
                break
        width = _FIELD_BYTES * len(self.languages)
        sums = memoryview(total.to_bytes(width, "little")).cast("H")
        mean = sum(sums) / len(sums)
        return {one: STEP * (mean - count) for one, count in zip(self.languages, sums, strict=True)}
