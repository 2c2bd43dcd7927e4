"""A turn of a conversation, read: its instruction, what is supplied with it, its language.

Owns: which part of a turn is looked at by which finder.
Must not: tell the task, or the language of the answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from gateway.classify.answer_language import AnswerLanguageFinder
from gateway.classify.language import Found, LanguageFinder
from gateway.classify.lexicon import Lexicon
from gateway.classify.plain import plain
from gateway.classify.requesting import RequestWords, load_openings
from gateway.classify.segments import clip, has_fence, instruction_of, prose_of
from gateway.domain import UNDECIDED

_INSTRUCTION_CHARS = 600


class Text(msgspec.Struct, frozen=True):
    """A prompt cut up.

    `raw` is as written but clipped, `prose` without code, `instruction` the part of it that says
    what is wanted, `asked` the same as `plain` returns it.
    """

    raw: str
    prose: str
    instruction: str
    asked: str
    language: str
    fenced: bool


class Turn(msgspec.Struct, frozen=True):
    """One turn, read."""

    text: Text
    found: Found
    supplied: bool  # there is more than the instruction


class Reader:
    """Reads turns. Built once, then read only."""

    def __init__(self, languages: LanguageFinder, openings: Iterable[str]) -> None:
        """Take what requests open with beside a finder of languages."""
        self._languages = languages
        self._requests = RequestWords(openings)

    def read(self, raw: str, hints: Sequence[str] = ()) -> Turn:
        """Return a turn, read; any text will do. Long texts are read at their ends only."""
        text = clip(raw)
        prose = prose_of(text)
        instruction = instruction_of(prose, self._requests.asks)
        supplied = len(instruction) < len(prose.strip())
        instruction = instruction[:_INSTRUCTION_CHARS]
        asked = plain(instruction)
        found = self._languages.find(asked, hints)
        if found.language == UNDECIDED and supplied:
            found = self._languages.find(plain(prose), hints)
        read = Text(text, prose, instruction, asked, found.language, has_fence(text))
        return Turn(read, found, supplied)


def openings_of(lexicons: Mapping[str, Lexicon], answers: AnswerLanguageFinder) -> Iterator[str]:
    """Yield everything that requests open with, from all that knows some of it."""
    yield from load_openings()
    yield from answers.verbs()
    for lexicon in lexicons.values():
        yield from lexicon.leads()
