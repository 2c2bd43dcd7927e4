"""From a wish to a compiled grammar, on a thread of its own.

Owns: the tokenizer that llguidance needs (made once, when first wanted), the last grammars that
were compiled, the errors that say what cannot be held.
Must not: read what was not tried by `trial` before.
"""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from llguidance import LLMatcher, LLTokenizer

from engines.llamacpp.binding import Vocabulary
from engines.llamacpp.grammar.calls import calls_rule, spelled
from engines.llamacpp.grammar.constraint import Compiled
from engines.llamacpp.grammar.flaw import Flaw
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.reading import limits, sub_grammar
from engines.llamacpp.grammar.tokens import tokenizer
from engines.llamacpp.grammar.trial import Trial, Words
from engines.llamacpp.grammar.wish import Part, UnsupportedGrammar, Wish

# Clients send the same schema again and again; a few of them are in use at once.
_KEPT = 32


class Compiler:
    """Compiles one after another; `compile` is called from the event loop."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="grammar")
        self._made: tuple[LLTokenizer, dict[str, int], Trial] | None = None
        self._kept: dict[tuple[Wish, Frame], Compiled | UnsupportedGrammar] = {}

    async def compile(self, wish: Wish, frame: Frame) -> Compiled:
        """Return the grammar of a wish.

        Raises:
            UnsupportedGrammar: it cannot be held; the message says which keyword, and where.
        """
        found = self._kept.get((wish, frame))
        if found is None:
            found = await asyncio.wrap_future(self._thread.submit(self._compile, wish, frame))
        if isinstance(found, UnsupportedGrammar):
            raise found
        return found

    def close(self) -> None:
        """End the thread and the child; what waits is dropped."""
        if self._made is not None:
            self._made[2].stop()
        self._thread.shutdown(cancel_futures=True)
        if self._made is not None:
            self._made[2].close()

    def _compile(self, wish: Wish, frame: Frame) -> Compiled | UnsupportedGrammar:
        if (wish, frame) not in self._kept:
            while len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            try:
                self._kept[wish, frame] = self._tried(wish, frame)
            except UnsupportedGrammar as refusal:
                self._kept[wish, frame] = refusal
        return self._kept[wish, frame]

    def _tried(self, wish: Wish, frame: Frame) -> Compiled:
        words, marks, trial = self._made = self._made or self._make()
        for part in _parts(wish):
            flaw = trial.flaw(part.kind, part.text)
            if flaw is not None:
                raise _refusal(wish, part, flaw)
        grammar = {"grammars": list(_grammars(wish, frame, marks))}
        matcher = LLMatcher(words, json.dumps(grammar), log_level=0, limits=limits())
        if matcher.is_error():
            why = matcher.get_error()
            raise UnsupportedGrammar(
                f"This engine cannot hold answers to it: {why}", param=wish.param
            )
        return Compiled(matcher, self._vocabulary.size, wish.param)

    def _make(self) -> tuple[LLTokenizer, dict[str, int], Trial]:
        vocabulary = self._vocabulary
        marks = vocabulary.marks()
        ends = sorted(vocabulary.ends, key=lambda token: token != vocabulary.eos)
        pieces = [vocabulary.piece(token) for token in range(vocabulary.size)]
        made = tokenizer(pieces, marks, ends, self._tokens_of)
        return made, marks, Trial(Words(vocabulary.size, marks, ends))

    def _tokens_of(self, text: bytes) -> list[int]:
        said = text.decode("utf-8", "replace")
        return self._vocabulary.tokens(said, add_special=False, parse_special=False)


def _parts(wish: Wish) -> Iterator[Part]:
    if wish.answer is not None:
        yield wish.answer
    if wish.calls is not None:
        yield from wish.calls.parameters


def _grammars(wish: Wish, frame: Frame, marks: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Yield llguidance's list of grammars; the first is the whole."""
    rules: list[str] = []
    choices: list[str] = []
    if wish.answer is not None:
        choices.append("@answer")
    if wish.calls is not None and frame.form is not None:
        choices.append("calls")
        rules.append(calls_rule(wish.calls, frame.form, marks))
    start = " | ".join(choices)
    if frame.thought is not None:
        start = f"thought ({start})" if frame.thinking else f"thought? ({start})"
        rules.append(_thought(*frame.thought, marks, is_open=frame.thinking))
    if start != "@answer":
        yield {"name": "whole", "lark_grammar": "\n".join([f"start: {start}", *rules])}
    if wish.answer is not None:
        yield _sub(wish.answer, "answer", wish)
    if wish.calls is not None:
        for index, part in enumerate(wish.calls.parameters):
            yield _sub(part, f"arguments_{index}", wish)


def _thought(opening: str, closing: str, marks: dict[str, int], *, is_open: bool) -> str:
    """Return the rule of a thought: any text up to its end, and the blank lines behind it."""
    first = "" if is_open else spelled(opening, marks)
    if closing in marks:
        thinking = f"THINKING {spelled(closing, marks)}"
        text = "THINKING: /(.|\\n)*/"
    else:
        thinking = "thinking"
        text = f"thinking[suffix={json.dumps(closing)}]: /(.|\\n)*/"
    return f"thought: {first} {thinking} /\\n{{0,2}}/\n{text}"


def _sub(part: Part, name: str, wish: Wish) -> dict[str, Any]:
    return sub_grammar(part.kind, part.text, name, compact=wish.compact)


def _refusal(wish: Wish, part: Part, flaw: Flaw) -> UnsupportedGrammar:
    if flaw.keyword is None:
        what = f"'{part.where}'"
    else:
        what = f"'{flaw.keyword}' (at {flaw.pointer} in {part.where})"
    param = wish.param if part is wish.answer else "tools"
    return UnsupportedGrammar(
        f"This engine cannot hold answers to {what}: {flaw.why}.", param=param
    )
