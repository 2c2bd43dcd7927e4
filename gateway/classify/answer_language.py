"""Which language the answer is asked in, where the request names one.

Owns: reading "answer in French", "auf Deutsch", "翻译成英文" and their like; the format of
`data/asking/`.
Must not: detect the language that a text is written in.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from gateway.classify.kin import kin_of
from gateway.classify.lexicon import Hit, Index, entry_of, read_data
from gateway.classify.naming import Place, place_of
from gateway.classify.plain import plain
from gateway.classify.scripts import SHARED

_NEAR_CHARS = 70
_BESIDE_WORDS = 1  # in a sentence that only asks, where a language's words of manner are not known
_BESIDE_SIGNS = 3  # of scripts without spaces
_BRIEF_CHARS = 40  # of what asks for a language without a verb
_KIN_CHARS = 80  # of a text that may well be of one of the kin of what it is taken for
_HEAD_LETTERS = 4  # what names are looked up by, before anything dearer


@dataclass(frozen=True, slots=True)
class _Asking:
    """How one language asks for an answer in another.

    `index` finds names of languages (key `name`), verbs (`verb`, and `answer` for those that can
    mean nothing but answering). `own` are the phrases that ask for this very language,
    `manner` the words that may stand in a sentence which asks for nothing but a language.
    """

    names: dict[str, str]  # as written here, code
    heads: frozenset[str]
    place: Place
    own: tuple[str, ...]
    manner: frozenset[str]
    beside: int  # how many words more
    index: Index


class AnswerLanguageFinder:
    """Finds what language a request wants its answer in. Built once, then read only."""

    def __init__(self) -> None:
        self._askings = {code: _asking(data) for code, data in read_data("asking")}
        # Short texts are taken for their kin's, and what these have in common is much.
        self._kin = {
            language: sorted(kin_of(language) & self._askings.keys())
            for language in SHARED["latin"]
        }
        self._own: dict[str, list[tuple[str, str]]] = {}
        for code, asking in self._askings.items():
            for phrase in asking.own:
                head = phrase.split()[-1][:_HEAD_LETTERS]
                self._own.setdefault(head, []).append((phrase, code))
        self._unspaced = [code for code, asking in self._askings.items() if not asking.heads]
        # What stands in any of their phrases: one look tells that none is there.
        firsts = {phrase[0] for code in self._unspaced for phrase in self._askings[code].own}
        self._unspaced_firsts = re.compile(f"[{re.escape(''.join(sorted(firsts)))}]")

    def find(self, spaced: str, written: str, *, strict: bool = False, raw: str = "") -> str | None:
        """Return the language that a text asks for, None where it names none.

        `spaced` as `plain` returns it; `written` is the language that it is in, `raw` the text
        as it was written. `strict` hears only verbs of answering ("reply in French"), for text
        that may be somebody else's.
        """
        heads = {word[:_HEAD_LETTERS] for word in spaced.split()}
        for code in self._read_with(written, len(spaced)):
            verb = "answer" if strict else "verb"
            named = _named(spaced, heads, self._askings[code], verb, raw)
            if named is not None:
                return named
        return None if strict else self._owned(spaced, heads, written)

    def in_brief(self, spaced: str, written: str, most: int = _BRIEF_CHARS) -> str | None:
        """Return the language that a text of few words names at its end: "and now in French".

        A longer one than `most` signs names none.
        """
        if len(spaced) > most:
            return None
        heads = {word[:_HEAD_LETTERS] for word in spaced.split()}
        for code in self._read_with(written, len(spaced)):
            asking = self._askings[code]
            for hit in _names_in(spaced, heads, asking):
                named = asking.place.holds(spaced, hit, (), "")
                if named and _is_all(spaced[hit.at :], [replace(hit, at=0)], asking):
                    return asking.names[hit.entry]
        return None

    def asks_only(self, spaced: str, written: str, *, briefly: bool = False) -> bool:
        """Say whether a sentence does nothing but say in which language to answer.

        `briefly` also without a verb: "now in French please".
        """
        for code in self._read_with(written, len(spaced)):
            asking = self._askings[code]
            hits = asking.index.scan(spaced)
            keys = {hit.key for hit in hits}
            if "name" in keys and (briefly or "answer" in keys):
                return _is_all(spaced, hits, asking)
        return False

    def verbs(self) -> Iterator[str]:
        """Yield the verbs that ask for an answer, of all languages."""
        for asking in self._askings.values():
            yield from (entry for key, entry in asking.index.entries() if key != "name")

    def _read_with(self, written: str, chars: int) -> Iterator[str]:
        """Yield the languages whose words may be used: a text's, a short one's kin's, English."""
        base = written.partition("-")[0]
        if written in self._askings:
            yield written
        elif base in self._askings:
            yield base
        if chars <= _KIN_CHARS:
            yield from self._kin.get(written, ())
        if written != "en":
            yield "en"

    def _owned(self, spaced: str, heads: set[str], written: str) -> str | None:
        """Return the language in which a text asks for this very language."""
        for head in self._own.keys() & heads:
            for phrase, code in self._own[head]:
                at = spaced.find(phrase)
                if at < 0 or code == written:
                    continue
                behind = spaced[at + len(phrase) :].lstrip()
                if not behind.startswith(self._askings[code].place.unless):
                    return code
        if spaced.isascii() or not self._unspaced_firsts.search(spaced):
            return None
        for code in self._unspaced:
            if code != written and any(phrase in spaced for phrase in self._askings[code].own):
                return code
        return None


def _named(spaced: str, heads: set[str], asking: _Asking, verb: str, raw: str) -> str | None:
    """Return the earliest language that stands where an asked one does."""
    if not _may_name(spaced, heads, asking):
        return None  # the common case, quickly
    hits = asking.index.scan(spaced)
    verbs = [hit for hit in hits if hit.key == verb]
    if not verbs:
        return None
    for hit in _ordered(hits):
        near = verb != "answer" or _near(hit, verbs)
        if near and asking.place.holds(spaced, hit, verbs, raw):
            return asking.names[hit.entry]
    return None


def _names_in(spaced: str, heads: set[str], asking: _Asking) -> list[Hit]:
    return _ordered(asking.index.scan(spaced)) if _may_name(spaced, heads, asking) else []


def _may_name(spaced: str, heads: set[str], asking: _Asking) -> bool:
    if asking.heads:
        return not asking.heads.isdisjoint(heads)
    return any(name in spaced for name in asking.names)


def _ordered(hits: Sequence[Hit]) -> list[Hit]:
    """Return the names, the earliest first, of those at one place the longest."""
    names = [hit for hit in hits if hit.key == "name"]
    return sorted(names, key=lambda hit: (hit.at, -len(hit.entry)))


def _is_all(spaced: str, hits: Sequence[Hit], asking: _Asking) -> bool:
    """Say whether next to nothing is left without what was found and the words of manner."""
    for hit in sorted(hits, key=lambda hit: -hit.at):
        end = spaced.find(" ", hit.end - 1) if asking.heads else hit.end
        spaced = f"{spaced[: hit.at]} {spaced[end:]}"
    if asking.heads:
        return len([w for w in spaced.split() if w not in asking.manner]) <= asking.beside
    for word in sorted(asking.manner, key=len, reverse=True):
        spaced = spaced.replace(word, " ")
    return len(spaced.replace(" ", "")) <= _BESIDE_SIGNS


def _near(name: Hit, verbs: Sequence[Hit]) -> bool:
    return any(abs(verb.at - name.at) <= _NEAR_CHARS for verb in verbs)


def _asking(data: dict[str, Any]) -> _Asking:
    spaced: bool = data.get("spaced", True)
    space = " " if spaced else ""
    names = {
        entry_of(name): code for code, given in data["names"].items() for name in _listed(given)
    }
    entries = [("name", name) for name in names]
    entries += [("verb", entry_of(verb)) for verb in data["verbs"]]
    entries += [("answer", entry_of(verb)) for verb in data.get("strict", ())]
    return _Asking(
        names=names,
        heads=frozenset(name.split()[0][:_HEAD_LETTERS] for name in names if spaced),
        place=place_of(data, space),
        own=tuple(space + entry_of(phrase) for phrase in data["own"]),
        manner=frozenset(_manner(data)),
        beside=0 if "manner" in data else _BESIDE_WORDS,
        index=Index(dict.fromkeys(entries), spaced=spaced),
    )


def _manner(data: dict[str, Any]) -> Iterator[str]:
    for entry in (*data.get("before", ()), *data.get("after", ()), *data.get("manner", ())):
        yield from plain(entry.removesuffix("$")).split()


def _listed(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given
