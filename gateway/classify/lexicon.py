"""The words that weighing knows, read once from `data/`.

Owns: the format of the data files and how their entries match.
Must not: decide anything.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from typing import Any

from gateway.classify.plain import plain

_FILED_LETTERS = 3


@dataclass(frozen=True, slots=True)
class Hit:
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
        # Beginnings of words that are shorter than what entries are filed under.
        self._brief = sorted({len(e) for _, e in self.entries() if len(e) < _FILED_LETTERS})

    def scan(self, text: str) -> list[Hit]:
        """Return every hit, in the order of places."""
        return self._scan_words(text) if self._spaced else self._scan_signs(text)

    def _scan_words(self, text: str) -> list[Hit]:
        files, hits = self._files, []
        at = 1
        for word in text.split():
            for key, entry in files.get(word[:_FILED_LETTERS], ()):
                if text.startswith(entry, at):
                    hits.append(Hit(key, at, entry))
            for length in self._brief:
                if length < min(len(word), _FILED_LETTERS):
                    brief = word[:length]
                    hits += [Hit(k, at, e) for k, e in files.get(brief, ()) if e == brief]
            at += len(word) + 1
        return hits

    def _scan_signs(self, text: str) -> list[Hit]:
        files, hits = self._files, []
        for at, sign in enumerate(text):
            for key, entry in files.get(sign, ()):
                if text.startswith(entry, at):
                    hits.append(Hit(key, at, entry))
        return hits

    def entries(self) -> Iterable[tuple[str, str]]:
        """Return every key with its entry."""
        return chain.from_iterable(self._files.values())


@dataclass(frozen=True, slots=True)
class AnswerWords:
    """How one language asks for an answer in another."""

    names: Mapping[str, str]  # as written here, code
    before: tuple[str, ...]
    after: tuple[str, ...]
    unless: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """One language's file.

    `asking` finds names of languages (key `name`), verbs (`verb`, and `answer` for those that can
    mean nothing but answering); `tasks` finds the entries of `[task]`; `own` are the phrases that
    ask for this very language.
    """

    language: str
    verb_last: bool
    answer: AnswerWords
    own: tuple[str, ...]
    asking: Index
    tasks: Index


def load_lexicons() -> dict[str, Lexicon]:
    """Read every language's file of the package; by ISO 639-1 code."""
    folder = resources.files("gateway.classify") / "data"
    found = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        code = file.name.removesuffix(".toml")
        if file.name.endswith(".toml"):
            found[code] = _lexicon(code, tomllib.loads(file.read_text("utf-8")))
    return found


def _lexicon(code: str, data: Mapping[str, Any]) -> Lexicon:
    spaced: bool = data["spaced"]
    answer = data["answer"]
    names = {
        _entry(name): target for target, given in data["names"].items() for name in _listed(given)
    }
    asking = [("name", name) for name in names]
    asking += [("verb", _entry(verb)) for verb in answer["verbs"]]
    asking += [("answer", _entry(verb)) for verb in answer.get("strict", ())]
    tasks = [(key, _entry(e)) for key, entries in data["task"].items() for e in entries]
    return Lexicon(
        language=code,
        verb_last=data.get("verb_last", False),
        answer=AnswerWords(
            names=names,
            before=tuple(
                (" " if spaced else "") + plain(word).strip() for word in answer["before"]
            ),
            after=tuple(_entry(word) for word in answer["after"]),
            unless=tuple(_entry(word) for word in answer.get("unless", ())),
        ),
        own=tuple((" " if spaced else "") + _entry(phrase) for phrase in answer["own"]),
        asking=Index(dict.fromkeys(asking), spaced=spaced),
        tasks=Index(dict.fromkeys(tasks), spaced=spaced),
    )


def _entry(entry: str) -> str:
    """Return what to look for: `$` at the end becomes the space that ends a word."""
    ends = entry.endswith("$")
    return plain(entry.removesuffix("$")).strip() + (" " if ends else "")


def _listed(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given
