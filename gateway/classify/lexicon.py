"""The words that weighing knows, read once from `data/`.

Owns: the format of the data files and how their entries match.
Must not: decide anything.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

_PUNCTUATION = (
    " \t\r\n!\"'`#$%&()*,-./:;<=>?@[\\]^_{|}~¿¡«»‹›„“”‘’…。，、？！：；（）「」『』【】《》·—–؟،।"  # noqa: RUF001 - punctuation of many scripts
)
_TO_SPACE = str.maketrans(dict.fromkeys(_PUNCTUATION, " "))


def plain(text: str) -> str:
    """Return the text in lower case, words set apart by one space, with a space at both ends."""
    lowered = text.lower().replace("i̇", "i")  # what lower() makes of the Turkish dotted I
    return f" {' '.join(lowered.translate(_TO_SPACE).split())} "


@dataclass(frozen=True)
class Phrases:
    """Entries of one key, ready for `str.find` on what `plain` returns."""

    entries: tuple[str, ...]

    def count(self, text: str) -> int:
        """Return how many of the entries occur."""
        return sum(entry in text for entry in self.entries)

    def found(self, text: str) -> str | None:
        """Return the first entry that occurs, without its spaces."""
        return next((entry.strip() for entry in self.entries if entry in text), None)

    def first(self, text: str) -> tuple[int, str] | None:
        """Return the earliest place of any entry, the longest of those that begin there."""
        places = [(at, -len(e), e) for e in self.entries if (at := text.find(e)) >= 0]
        return (min(places)[0], min(places)[2].strip()) if places else None

    def last(self, text: str) -> tuple[int, str] | None:
        """Return the place where the entry that ends last ends, and the entry."""
        places = [(at + len(e), e) for e in self.entries if (at := text.rfind(e)) >= 0]
        return (max(places)[0], max(places)[1].strip()) if places else None


@dataclass(frozen=True)
class AnswerWords:
    """How one language asks for an answer in another."""

    names: tuple[tuple[str, str], ...]  # as written here, code; the longest first
    before: tuple[str, ...]
    after: tuple[str, ...]
    unless: tuple[str, ...]
    verbs: Phrases
    own: Phrases


@dataclass(frozen=True)
class Lexicon:
    """One language's file."""

    language: str
    verb_last: bool
    answer: AnswerWords
    task: Mapping[str, Phrases]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of `[task]`."""
        return tuple(self.task)


@dataclass(frozen=True)
class CommonWords:
    """Everyday words by language: `whole` texts and single `words`, each to its languages."""

    whole: Mapping[str, tuple[str, ...]]
    words: Mapping[str, tuple[str, ...]]


def load_lexicons() -> dict[str, Lexicon]:
    """Read every language's file of the package; by ISO 639-1 code."""
    folder = resources.files("gateway.classify") / "data"
    found = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        code = file.name.removesuffix(".toml")
        if file.name.endswith(".toml") and code != "common":
            found[code] = _lexicon(code, tomllib.loads(file.read_text("utf-8")))
    return found


def load_common_words() -> CommonWords:
    """Read `common.toml`."""
    text = (resources.files("gateway.classify") / "data" / "common.toml").read_text("utf-8")
    whole: dict[str, tuple[str, ...]] = {}
    words: dict[str, tuple[str, ...]] = {}
    for language, entries in tomllib.loads(text).items():
        for entry in entries:
            into = whole if entry.startswith("=") else words
            key = plain(entry.removeprefix("=")).strip()
            if language not in into.get(key, ()):
                into[key] = (*into.get(key, ()), language)
    return CommonWords(whole, words)


def _lexicon(code: str, data: Mapping[str, Any]) -> Lexicon:
    spaced: bool = data["spaced"]
    answer = data["answer"]
    lead = " " if spaced else ""
    names = sorted(
        (
            (_entry(name, lead), target)
            for target, given in data["names"].items()
            for name in _listed(given)
        ),
        key=lambda pair: -len(pair[0]),
    )
    return Lexicon(
        language=code,
        verb_last=data.get("verb_last", False),
        answer=AnswerWords(
            names=tuple(names),
            before=tuple(lead + plain(word).strip() for word in answer["before"]),
            after=tuple(_entry(word, "") for word in answer["after"]),
            unless=tuple(_entry(word, " ") for word in answer.get("unless", ())),
            verbs=_phrases(answer["verbs"], lead),
            own=_phrases(answer["own"], lead),
        ),
        task={key: _phrases(entries, lead) for key, entries in data["task"].items()},
    )


def _phrases(entries: Iterable[str], lead: str) -> Phrases:
    return Phrases(tuple(dict.fromkeys(_entry(entry, lead) for entry in entries)))


def _entry(entry: str, lead: str) -> str:
    """Return what to look for: `$` at the end becomes the space that ends a word."""
    ends = entry.endswith("$")
    return f"{lead}{plain(entry.removesuffix('$')).strip()}{' ' if ends else ''}"


def _listed(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given
