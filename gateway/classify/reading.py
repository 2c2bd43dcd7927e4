"""A turn of a conversation, read: its instruction, what is supplied with it, its language.

Owns: which part of a turn is looked at by which finder.
Must not: tell the task, or the language of the answer.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from gateway.classify.answer_language import AnswerLanguageFinder
from gateway.classify.directives import without_directive
from gateway.classify.kin import NO_HINTS, Hints, kin_of
from gateway.classify.language import ONLY_CODE, Found, LanguageFinder
from gateway.classify.lexicon import Lexicon
from gateway.classify.plain import plain
from gateway.classify.requesting import RequestWords, load_openings
from gateway.classify.segments import (
    clip,
    has_fence,
    instruction_of,
    is_code,
    prose_of,
    short_line_of,
)
from gateway.domain import UNDECIDED

_INSTRUCTION_CHARS = 600
_GREETING_WORDS = 4
_SURE = 0.9  # that one line is of another language than the rest


class Text(msgspec.Struct, frozen=True):
    """A prompt cut up.

    `raw` is as written but clipped, `prose` without code, `instruction` the part of it that says
    what is wanted, `asked` the same as `plain` returns it; `named` is a language it asks for.
    """

    raw: str
    prose: str
    instruction: str
    asked: str
    language: str
    fenced: bool
    named: str | None = None


class Turn(msgspec.Struct, frozen=True):
    """One turn, read."""

    text: Text
    found: Found
    supplied: bool  # there is more than the instruction


class Reader:
    """Reads turns. Built once, then read only."""

    def __init__(
        self,
        languages: LanguageFinder,
        answers: AnswerLanguageFinder,
        openings: Iterable[str],
        greetings: Iterable[str],
    ) -> None:
        """Take what requests and greetings open with beside the finders of languages."""
        self._languages = languages
        self._answers = answers
        self._requests = RequestWords(openings)
        self._greetings = tuple(f" {entry}" for entry in greetings)

    def read(self, raw: str, hints: Hints = NO_HINTS) -> Turn:
        """Return a turn, read; any text will do. Long texts are read at their ends only."""
        text = clip(raw)
        prose = prose_of(text)
        instruction = instruction_of(prose, self._requests.asks)
        supplied = len(instruction) < len(prose.strip())
        instruction = instruction[:_INSTRUCTION_CHARS]
        asked = plain(instruction)
        found = self._language(text, prose, asked, hints, supplied=supplied)
        read = Text(text, prose, instruction, asked, found.language, has_fence(text))
        return Turn(read, found, supplied)

    def _language(
        self, text: str, prose: str, asked: str, hints: Hints, *, supplied: bool
    ) -> Found:
        if is_code(text):
            return ONLY_CODE
        found = self._languages.find(asked, hints)
        if supplied:
            if found.language == UNDECIDED:
                found = self._languages.find(plain(prose), hints)
            return found
        line = short_line_of(prose)
        if not line or self._greets(plain(line)):
            return found
        told = self._languages.find(plain(line), hints)
        other = told.language not in (found.language, UNDECIDED, *kin_of(found.language))
        return told if other and told.confidence >= _SURE else found

    def _greets(self, line: str) -> bool:
        """Say whether a line does no more than greet or thank, which people do in any language."""
        return len(line.split()) <= _GREETING_WORDS and line.startswith(self._greetings)

    def named(self, text: Text) -> str | None:
        """Return the language that a text asks for, by the words of its own and by English."""
        return self._answers.find(text.asked, text.language, raw=text.instruction)

    def wanted(self, text: Text, named: str | None) -> Text:
        """Return a text for its task, without the sentence that only says how to answer.

        "Answer in French: who was he?" asks a question, and wants nothing translated. `named` is
        what the method of this name says.
        """
        language = text.language
        if named is None:
            return text
        text = replace(text, named=named)
        if self._answers.find(text.asked, language, strict=True) is None:
            return text
        rest = without_directive(
            text.raw, lambda piece: self._answers.asks_only(plain(piece), language)
        )
        return text if rest is None else replace(self.read(rest).text, language=language)


def openings_of(lexicons: Mapping[str, Lexicon], answers: AnswerLanguageFinder) -> Iterator[str]:
    """Yield everything that requests open with, from all that knows some of it."""
    yield from load_openings()
    yield from answers.verbs()
    for lexicon in lexicons.values():
        yield from lexicon.leads()


def greetings_of(lexicons: Mapping[str, Lexicon]) -> Iterator[str]:
    """Yield everything that people greet and thank with."""
    for lexicon in lexicons.values():
        yield from lexicon.greetings()
