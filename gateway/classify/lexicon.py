"""The words that weighing knows, read once from `data/`.

Owns: reading the data files, the format of `data/tasks/`, and how entries match.
Must not: decide anything.
"""

import functools
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import accumulate, chain
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.classify.plain import plain

# The tasks whose words a request opens with.
LEADS = frozenset({"translate", "summarize", "extract", "make", "fix", "rewrite", "role", "act"})

_FILED_LETTERS = 3


class Hit(msgspec.Struct, frozen=True):
    """An entry where it was found: its key in the file, its place, and itself."""

    key: str
    at: int
    entry: str

    @property
    def end(self) -> int:
        """Return the place behind the entry."""
        return self.at + len(self.entry)


class Index:
    """Finds all entries of all keys in one pass over a text that `plain` returned.

    Entries are filed under their first letters, so that the time grows with the text and hardly
    with the entries.
    """

    def __init__(self, entries: Iterable[tuple[str, str]], *, spaced: bool) -> None:
        self._spaced = spaced
        self._files: dict[str, list[tuple[str, str]]] = {}
        for key, entry in entries:
            letters = entry.partition(" ")[0][:_FILED_LETTERS] if spaced else entry[0]
            self._files.setdefault(letters, []).append((key, entry))
        # With them, all of a file's entries: one call says of all whether one is there.
        self._filed = {
            letters: (tuple(entry for _, entry in files), files)
            for letters, files in self._files.items()
        }
        # Beginnings of words that are shorter than what entries are filed under.
        self._brief: dict[str, list[tuple[str, str]]] = {}
        for key, entry in self.entries():
            if len(entry) < _FILED_LETTERS:
                self._brief.setdefault(entry, []).append((key, entry))
        self._brief_lengths = sorted({len(entry) for entry in self._brief})
        self._brief_firsts = frozenset(entry[0] for entry in self._brief)
        # Where no spaces stand: what may begin with two signs, in the order of the file.
        self._pairs = {
            pair: [(key, entry) for key, entry in files if entry[:2] == pair or len(entry) == 1]
            for files in self._files.values()
            for pair in {entry[:2] for _, entry in files if len(entry) > 1}
        }
        self._singles = {
            sign: single
            for sign, files in self._files.items()
            if (single := [(key, entry) for key, entry in files if len(entry) == 1])
        }

    def scan(self, text: str, words: Sequence[str] | None = None) -> list[Hit]:
        """Return every hit, in the order of places; `words` are the text's, where known."""
        if not self._spaced:
            return self._scan_signs(text)
        return self._scan_words(text, text.split() if words is None else words)

    def _scan_words(self, text: str, words: Sequence[str]) -> list[Hit]:
        filed = self._filed
        # Of most words nothing is filed.
        places = [place for place, word in enumerate(words) if word[:_FILED_LETTERS] in filed]
        ends = list(accumulate(map(len, words))) if places else []
        hits: list[Hit] = []
        for place in places:
            word = words[place]
            at = ends[place] - len(word) + place + 1
            heads, files = filed[word[:_FILED_LETTERS]]
            if text.startswith(heads, at):
                hits += [Hit(key, at, entry) for key, entry in files if text.startswith(entry, at)]
        if self._brief_firsts and (brief := self._scan_brief(words)):
            hits = sorted([*hits, *brief], key=attrgetter("at"))
        return hits

    def _scan_brief(self, words: Sequence[str]) -> list[Hit]:
        firsts, brief = self._brief_firsts, self._brief
        places = [place for place, word in enumerate(words) if word[0] in firsts]
        ends = list(accumulate(map(len, words))) if places else []
        hits: list[Hit] = []
        for place in places:
            word = words[place]
            at = ends[place] - len(word) + place + 1
            for length in self._brief_lengths:
                if length < len(word) and word[:length] in brief:
                    hits += [Hit(key, at, entry) for key, entry in brief[word[:length]]]
        return hits

    def _scan_signs(self, text: str) -> list[Hit]:
        pairs, singles = self._pairs, self._singles
        hits: list[Hit] = []
        for at, sign in enumerate(text):
            files = pairs.get(text[at : at + 2]) or singles.get(sign)
            if files:
                hits += [Hit(key, at, entry) for key, entry in files if text.startswith(entry, at)]
        return hits

    def entries(self) -> Iterable[tuple[str, str]]:
        """Return every key with its entry."""
        return chain.from_iterable(self._files.values())


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of tasks in one language, by task; `verb_last`: the verb ends the sentence."""

    language: str
    verb_last: bool
    tasks: Index

    def leads(self) -> Iterator[str]:
        """Yield what a request may open with."""
        yield from (entry for key, entry in self.tasks.entries() if key in LEADS)

    def greetings(self) -> Iterator[str]:
        """Yield what people greet and thank with."""
        yield from (entry for key, entry in self.tasks.entries() if key == "greet")


@functools.cache
def load_lexicons() -> Mapping[str, Lexicon]:
    """Read every language's file of `data/tasks/`, once in a process; by ISO 639-1 code."""
    return MappingProxyType({code: _lexicon(code, data) for code, data in read_data("tasks")})


def read_file(name: str) -> dict[str, Any]:
    """Return what a file of `data/` holds."""
    return tomllib.loads((resources.files("gateway.classify") / "data" / name).read_text("utf-8"))


def read_data(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each file of a folder of `data/`: the language that it is called after, and it."""
    files = (resources.files("gateway.classify") / "data" / folder).iterdir()
    for file in sorted(files, key=lambda entry: entry.name):
        yield file.name.removesuffix(".toml"), read_file(f"{folder}/{file.name}")


def entry_of(written: str) -> str:
    """Return what to look for: `$` at the end becomes the space that ends a word."""
    ends = written.endswith("$")
    return plain(written.removesuffix("$")).strip() + (" " if ends else "")


def _lexicon(code: str, data: dict[str, Any]) -> Lexicon:
    spaced: bool = data.pop("spaced", True)
    verb_last: bool = data.pop("verb_last", False)
    tasks = [(key, entry_of(entry)) for key, entries in data.items() for entry in entries]
    return Lexicon(code, verb_last, Index(dict.fromkeys(tasks), spaced=spaced))
