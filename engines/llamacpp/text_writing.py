"""From what sequences say to `text_completion`, whole or in parts.

Owns: the echo of prompts, which choices are told, where tokens begin in a text.
Must not: run anything.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from statistics import fmean
from typing import Any

import msgspec

from engines.llamacpp.orders import Order, Progress, TokenTold
from engines.llamacpp.text import Offsets, places_in
from engines.llamacpp.vocabulary import Vocabulary
from engines.llamacpp.writing import Said, Writer
from engines.protocol.answers import TextAnswer, TextChoice, Usage
from engines.protocol.events import write_event


@dataclass(frozen=True, slots=True)
class Telling:
    """What a completion tells beside the new text.

    `echoes`: each prompt as it comes back, where that is wanted. `kept`: how many of a prompt's
    choices, the likeliest, are told; None for all.
    """

    echoes: Sequence[str] = ()
    logprobs: bool = False
    kept: int | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """What is told of a token: its text, how likely it and others were, where it begins."""

    token: str
    logprob: float | None
    likely: dict[str, float] | None
    begins: int


class TextWriter(Writer):
    """`text_completion`, whole or in parts."""

    prefix = "cmpl"

    def __init__(
        self,
        model: str,
        orders: Sequence[Order],
        vocabulary: Vocabulary,
        telling: Telling,
        *,
        counts: bool = False,
    ) -> None:
        super().__init__(model, orders, vocabulary, counts=counts)
        self._telling = telling
        self._prompt_of = [n - 1 for n in accumulate(order.choice == 0 for order in orders)]
        self._offsets = [Offsets(len(self._echo(index))) for index in range(len(orders))]
        self._begins: list[list[int]] = [[] for _ in orders]

    def add(self, index: int, progress: Progress) -> None:
        """Keep what a choice has said, and where its tokens begin."""
        super().add(index, progress)
        pieces = (self._vocabulary.piece(told.token) for told in progress.told)
        self._begins[index] += map(self._offsets[index].feed, pieces)

    def opening(self) -> bytes:
        """Give the prompts back where the client wants them, and nothing has to be told of them."""
        untold = [at for at, order in enumerate(self._orders) if not order.tells_prompt]
        echoes = [TextChoice(at, self._echo(at)) for at in untold]
        return b"".join(self._part([echo]) for echo in echoes if echo.text)

    def event(self, index: int, progress: Progress) -> bytes:
        """Return what a step added, and the end in the same event."""
        echo = b""
        if progress.prompt is not None:
            told = _wire(self._of_prompt(index, progress.prompt))
            echo = self._part([TextChoice(index, self._echo(index), logprobs=told)])
        if not progress.text and not progress.told and progress.finish_reason is None:
            return echo
        logprobs = self._logprobs(index, len(progress.told))
        choice = TextChoice(index, progress.text, progress.finish_reason, logprobs)
        return echo + self._part([choice])

    def usage_event(self) -> bytes:
        """Return the last event before `[DONE]`."""
        return self._part([], self.usage())

    def answer(self) -> bytes:
        """Return the whole answer."""
        choices = [
            TextChoice(
                place,
                self._echo(index) + "".join(self._said[index].text),
                self._said[index].finish_reason,
                self._logprobs(index, len(self._said[index].told), self._said[index].prompt),
            )
            for place, index in enumerate(self._kept())
        ]
        return msgspec.json.encode(
            TextAnswer(self._id, self._created, self._model, choices, self.usage())
        )

    def _kept(self) -> list[int]:
        """Return which choices are told, those of one prompt together."""
        every = list(range(len(self._orders)))
        if self._telling.kept is None:
            return every
        every.sort(key=lambda at: (self._prompt_of[at], -_likelihood(self._said[at])))
        rank = Counter[int]()
        kept: list[int] = []
        for index in every:
            rank[self._prompt_of[index]] += 1
            if rank[self._prompt_of[index]] <= self._telling.kept:
                kept.append(index)
        return kept

    def _echo(self, index: int) -> str:
        echoes = self._telling.echoes
        return echoes[self._prompt_of[index]] if echoes else ""

    def _part(self, choices: list[TextChoice], usage: Usage | None = None) -> bytes:
        if self._counts:
            usage = self.usage()
        return write_event(
            msgspec.json.encode(TextAnswer(self._id, self._created, self._model, choices, usage))
        )

    def _logprobs(
        self, index: int, count: int, prompt: Sequence[TokenTold] | None = None
    ) -> dict[str, Any] | None:
        """Return those of the last `count` tokens of a choice, behind those of its `prompt`."""
        if not self._telling.logprobs or not (count or prompt is not None):
            return None
        rows = [] if prompt is None else self._of_prompt(index, prompt)
        told = self._said[index].told[-count:] if count else []
        begun = self._begins[index][-count:] if count else []
        return _wire([*rows, *(self._row(*each) for each in zip(told, begun, strict=True))])

    def _of_prompt(self, index: int, told: Sequence[TokenTold]) -> list[_Row]:
        """Return what is told of a prompt; of its first token nobody knows how likely it was."""
        tokens, echo = self._orders[index].prompt, self._echo(index)
        shown = [self._vocabulary.piece(token) for token in tokens]
        written = [self._vocabulary.written(token) for token in tokens]
        # Control tokens stand in the text, or they do not.
        pieces = min(shown, written, key=lambda p: abs(len(b"".join(p)) - len(echo.encode())))
        begun = places_in(echo, pieces)
        rows = [self._row(*each) for each in zip(told, begun[1:], strict=True)]
        return [_Row(self._text(tokens[0]), None, None, begun[0]), *rows]

    def _row(self, told: TokenTold, begins: int) -> _Row:
        likely: dict[str, float] = {}
        for token, value in told.alternatives:
            likely.setdefault(self._text(token), value)  # of the same text the likelier
        text = self._text(told.token)
        likely.setdefault(text, told.logprob)  # as OpenAI: one more, where it is none of them
        return _Row(text, told.logprob, likely, begins)

    def _text(self, token: int) -> str:
        """Return a token's text; of a part of a character its bytes, as OpenAI writes them."""
        piece = self._vocabulary.written(token)
        try:
            return piece.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


def _wire(rows: Sequence[_Row]) -> dict[str, Any]:
    """Return rows as OpenAI's `logprobs` of a text: a list for each of their fields."""
    return {
        "tokens": [row.token for row in rows],
        "token_logprobs": [row.logprob for row in rows],
        "top_logprobs": [row.likely for row in rows],
        "text_offset": [row.begins for row in rows],
    }


def _likelihood(said: Said) -> float:
    """Return the mean log probability of a choice's tokens; nothing is the least likely."""
    return fmean(told.logprob for told in said.told) if said.told else -inf
