"""Which language the answer to a conversation is expected in.

Owns: the order in which the newest turn, earlier ones, system prompts and headers are heard.
Must not: read words (`gateway.classify.answer_language` does); tell what a text is written in.
"""

from collections.abc import Sequence

import msgspec

from gateway.classify.answer_language import AnswerLanguageFinder
from gateway.classify.language import Found, LanguageFinder
from gateway.classify.plain import plain
from gateway.classify.reading import Text, Turn
from gateway.classify.segments import without_quotations
from gateway.domain import UNDECIDED

# Tasks whose answers are texts as such, not what is found out by them.
_OF_WORDS = frozenset(("translation", "writing", "general", UNDECIDED))
_ASKED = 0.95  # how sure it is that a language which the request names is meant
_HINTED = 0.5
_CLOSING_CHARS = 240
_LABEL_CHARS = 80  # of a line that says what is wanted of the text behind it
_STANDING_CHARS = 120  # of a turn that says nothing but how to answer from now on


class Talk(msgspec.Struct, frozen=True):
    """A conversation as far as it matters, the newest first.

    `turns` are the user's that were read, `texts` those and earlier ones as written. `systems` are
    system prompts as `plain` returns them, each with the language that it is written in; `hints`
    are the languages that headers name.
    """

    turns: Sequence[Turn]
    texts: Sequence[str]
    systems: Sequence[tuple[str, str]]
    hints: tuple[str, ...]


class ExpectedLanguage:
    """Finds the language of the answer. Built once, then read only."""

    def __init__(self, answers: AnswerLanguageFinder, languages: LanguageFinder) -> None:
        self._answers = answers
        self._languages = languages

    def language(self, talk: Talk, named: str | None, prompt: Found, task: str) -> Found:
        """Return it; `named` is what the newest turn names, `prompt` the prompt's own language."""
        asked = self._newest(talk.turns, named, prompt.language, task)
        if asked is not None:
            return Found(asked, _ASKED, "the prompt asks for it")
        asked = self._standing(talk.texts[1:], prompt.language)
        if asked is not None:
            return Found(asked, _ASKED, "an earlier turn asks for it from then on")
        for start, written in talk.systems:
            asked = self._answers.find(start, written, raw=start)
            if asked is not None:
                return Found(asked, _ASKED, "the system prompt asks for it")
        if prompt.language == UNDECIDED and talk.hints:
            return Found(talk.hints[0], _HINTED, "the request's headers hint at it")
        why = "the prompt's own, as no other is asked for"
        return Found(prompt.language, prompt.confidence, why)

    def _newest(
        self, turns: Sequence[Turn], named: str | None, written: str, task: str
    ) -> str | None:
        if not turns:
            return None
        text, asked = turns[0].text, named
        # In "a script that translates into English" the language belongs to the script.
        if task == "code" or written != text.language:
            strict, raw = task == "code", text.instruction
            asked = self._answers.find(text.asked, written, strict=strict, raw=raw)
        if asked is None and (task == "translation" or len(turns) > 1):
            asked = self._answers.in_brief(text.asked, written)
        if asked is None and turns[0].supplied and task in _OF_WORDS:
            asked = self._labelled(text, written)
        if asked is None and turns[0].supplied:
            closing = without_quotations(text.prose)[-_CLOSING_CHARS:]
            asked = self._answers.find(plain(closing), written, strict=True, raw=closing)
        return asked

    def _labelled(self, text: Text, written: str) -> str | None:
        """Return the language at the end of what stands before a text: "this in French: ...".

        Where that text is in this language already, it is what is named.
        """
        asked = self._answers.in_brief(text.asked, written, _LABEL_CHARS)
        if asked is None:
            return None
        supplied = text.prose.partition(text.instruction)[2][:_CLOSING_CHARS]
        return None if self._languages.find(plain(supplied)).language == asked else asked

    def _standing(self, earlier: Sequence[str], written: str) -> str | None:
        """Return what the newest turn asks for of those that ask for nothing but a language.

        "Now in English please" is of one answer, but ends an order that stood before it.
        """
        later = None
        for text in earlier:
            if len(text) > _STANDING_CHARS:
                continue
            spaced = plain(text)
            asked = self._answers.find(spaced, written, strict=True, raw=text)
            if asked is not None and self._answers.asks_only(spaced, written):
                return later or asked
            if later is None and self._answers.asks_only(spaced, written, briefly=True):
                later = self._answers.in_brief(spaced, written)
        return None
