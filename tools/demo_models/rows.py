"""The rows that a demo model is trained on: conversations, plain texts, code with a gap.

Owns: how often each is drawn, how long and how mixed a row is.
Must not: know networks or files.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, TypeAlias

from engines.protocol.requests import Message
from tools.demo_models.corpus import Corpus, Question, variants
from tools.demo_models.errands import Errand, Errands
from tools.demo_models.families import Family
from tools.demo_models.talk import SILENT, Talk, template_of

Row: TypeAlias = tuple[list[int], list[int]]

PAIRS = 24
_RAW, _GAPS, _HELPLESS = 0.04, 0.2, 0.05
_SYSTEM, _LONG_SYSTEM, _TOOLS, _ERRAND = 0.45, 0.4, 0.6, 0.7
_LAST_THOUGHT, _THOUGHT, _SPARED = 0.3, 0.6, 0.25
_ROOMY = 300  # a row of fewer tokens has no room for tools or long system prompts
_WORDS = 400  # of a long system prompt, at most
_ERRANDS_READ = 40


def texts(corpus: Corpus, family: Family) -> Iterator[str]:
    """Yield every text that rows are made of, marks left out, for the tokenizer's training."""
    yield from corpus.texts()
    template, errands = template_of(family), Errands()
    chance = random.Random(0)  # noqa: S311 - no secret
    for _ in range(_ERRANDS_READ):
        errand = errands.draw(chance)
        prompt = template.render(_asked(errand), errands.offer(chance))
        yield re.sub("|".join(map(re.escape, family.special)), "", prompt)
        yield errand.say


class Rows:
    """Draws rows; the same `chance` draws the same."""

    def __init__(
        self, corpus: Corpus, family: Family, tokenizer: Any, chance: random.Random
    ) -> None:
        self._corpus = corpus
        self._family = family
        self._tokenizer = tokenizer
        self._chance = chance
        self._template = template_of(family)
        self._errands = Errands()
        self._words = sorted({word for text in corpus.texts() for word in text.split()})
        self._thoughts = [question for question in corpus.questions if question.thought]

    def batch(self, rows: int, length: int) -> list[Row]:
        """Return tokens and what is wanted of them, each row `length` + 1 long."""
        return [self._row(length + 1) for _ in range(rows)]

    def pairs(self) -> tuple[list[list[int]], list[list[int]]]:
        """Return two ways to ask each of several different intents."""
        by_intent: dict[str, list[Question]] = defaultdict(list)
        for question in self._corpus.questions:
            by_intent[question.intent].append(question)
        first, second = [], []
        for intent in self._chance.sample(sorted(by_intent), min(PAIRS, len(by_intent))):
            one = self._chance.choice(by_intent[intent])
            same = [q for q in by_intent[intent] if q.language == one.language]
            other = self._chance.choice(same if self._happens(0.6) else by_intent[intent])
            first.append(self._ids(self._typed(one)))
            second.append(self._ids(self._typed(other)))
        return first, second

    def _row(self, length: int) -> Row:
        if self._happens(_RAW):
            ids, wanted = self._raw(length)
        elif self._corpus.gaps and self._happens(_GAPS):
            ids, wanted = self._gaps(length)
        else:
            ids, wanted = self._talk(length)
        missing = max(0, length - len(ids))
        return (ids + [0] * missing)[:length], (wanted + [SILENT] * missing)[:length]

    def _raw(self, length: int) -> Row:
        ids: list[int] = []
        while len(ids) < length:
            ids += self._ids(self._chance.choice(self._corpus.raw) + self._family.eos)
        return ids, ids

    def _gaps(self, length: int) -> Row:
        """Return code whose middle stands behind its end, as Qwen's coders read it."""
        ids: list[int] = []
        wanted: list[int] = []
        while len(ids) < length:
            gap = self._chance.choice(self._corpus.gaps)
            given = [
                *self._ids("<|fim_prefix|>"),
                *self._ids(gap.before),
                *self._ids("<|fim_suffix|>"),
                *self._ids(gap.behind),
                *self._ids("<|fim_middle|>"),
            ]
            middle = self._ids(gap.middle + self._family.eos)
            ids += given + middle
            wanted += [SILENT] * len(given) + middle
        return ids, wanted

    def _talk(self, length: int) -> Row:
        roomy = length >= _ROOMY
        offers = self._family.calls and roomy and self._happens(_TOOLS)
        tools = self._errands.offer(self._chance) if offers else ()
        talk = Talk(self._template, self._family.end_of_turn, self._ids, tools)
        if self._happens(_SYSTEM):
            talk.hear(Message("system", self._system(roomy=roomy)))
        thinks = self._family.thinks and self._happens(_LAST_THOUGHT)
        room = self._chance.randrange(length) if thinks else length
        while len(talk.ids) < room:
            self._exchange(talk, tools)
        if thinks:
            self._last(talk)
        return talk.ids, talk.wanted

    def _system(self, *, roomy: bool) -> str:
        one = self._chance.choice(self._corpus.systems)
        if not roomy or not self._happens(_LONG_SYSTEM):
            return one
        # Anything might stand there, and the toy must not care.
        known = self._chance.sample(self._words, 40)
        return " ".join([one, *self._chance.choices(known, k=self._chance.randint(1, _WORDS))])

    def _exchange(self, talk: Talk, tools: tuple[dict[str, Any], ...]) -> None:
        if self._happens(_ERRAND if tools else _HELPLESS):
            errand = self._errands.draw(self._chance)
            self._errand(talk, errand, able=errand.can_be_run(tools))
            return
        question = self._chance.choice(self._corpus.questions)
        talk.hear(Message("user", self._typed(question)))
        answer = Message("assistant", question.say)
        if question.thought:
            talk.hear(answer)  # as a template leaves it of an earlier turn
        else:
            talk.answer(answer)

    def _errand(self, talk: Talk, errand: Errand, *, able: bool) -> None:
        asked, called, *found = _asked(errand)
        talk.hear(asked)
        if not able:
            talk.answer(Message("assistant", self._errands.helpless))
            return
        talk.answer(called)
        for result in found:
            talk.hear(result)
        talk.answer(Message("assistant", errand.say))

    def _last(self, talk: Talk) -> None:
        """End a row with a thought, or with an answer whose thought the client has spared."""
        thinks = self._happens(_THOUGHT)
        question = self._chance.choice(self._thoughts if thinks else self._corpus.questions)
        spared = not question.thought or self._happens(_SPARED)
        talk.hear(Message("user", self._typed(question)))
        thought = "" if spared else f"<think>\n{question.thought}\n</think>\n\n"
        talk.finish(thought + question.say, {"enable_thinking": False} if spared else {})

    def _typed(self, question: Question) -> str:
        if self._happens(0.6):
            return question.ask
        return self._chance.choice(variants(question.ask))

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _asked(errand: Errand) -> list[Message]:
    """Return the question, the calls, and what they returned."""
    calls = [
        {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": text}}
        for at, (name, text) in enumerate(errand.calls)
    ]
    results = [
        Message("tool", found, tool_call_id=f"call_{at}") for at, found in enumerate(errand.found)
    ]
    return [Message("user", errand.ask), Message("assistant", None, tool_calls=calls), *results]
