"""From a wish to a compiled grammar, on a thread of its own.

Owns: the tokenizer that llguidance needs (made once, when first wanted), the last grammars that
were compiled, the errors that say what cannot be held.
Must not: read what was not tried by `trial` before.
"""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from llguidance import LLMatcher, LLTokenizer

from engines.llamacpp.grammar.calls import calls_rule, spelled
from engines.llamacpp.grammar.constraint import Compiled
from engines.llamacpp.grammar.draft import Draft, Flaw
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.reading import grammar_of, limits
from engines.llamacpp.grammar.tokens import tokenizer
from engines.llamacpp.grammar.trial import Trial, Words
from engines.llamacpp.grammar.wish import Part, UnsupportedGrammar, Wish
from engines.llamacpp.vocabulary import Vocabulary

# Clients send the same schema again and again; a few of them are in use at once. What is compiled
# can take some hundred times the memory of its text.
_KEPT = 32
_KEPT_CHARACTERS = 512 * 1024


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
            # A new one: what is raised holds on to those it went through.
            raise UnsupportedGrammar(found.message, param=found.param)
        return found

    def close(self) -> None:
        """End the thread and the child; what waits is dropped."""
        if self._made is not None:
            self._made[2].stop()
        self._thread.shutdown(cancel_futures=True)
        if self._made is not None:
            self._made[2].close()

    def _compile(self, wish: Wish, frame: Frame) -> Compiled | UnsupportedGrammar:
        found = self._kept.get((wish, frame))
        if found is None:
            found = self._tried(wish, frame)
            self._kept[wish, frame] = found
            while len(self._kept) > 1 and self._keeps_too_much():
                del self._kept[next(iter(self._kept))]
        return found

    def _keeps_too_much(self) -> bool:
        size = sum(len(part.text) for wish, _ in self._kept for part in _parts(wish).values())
        return len(self._kept) > _KEPT or size > _KEPT_CHARACTERS

    def _tried(self, wish: Wish, frame: Frame) -> Compiled | UnsupportedGrammar:
        words, marks, trial = self._made = self._made or self._make()
        drafts = list(_drafts(wish, frame, marks))
        flaw = trial.flaw(drafts)
        if flaw is not None:
            return _refusal(wish, flaw)
        matcher = LLMatcher(words, grammar_of(drafts), log_level=0, limits=limits())
        if matcher.is_error():
            return _refusal(wish, Flaw(matcher.get_error()))
        return Compiled(matcher, self._vocabulary.size, wish.param)

    def _make(self) -> tuple[LLTokenizer, dict[str, int], Trial]:
        vocabulary = self._vocabulary
        marks = vocabulary.marks()
        ends = sorted(vocabulary.ends, key=lambda token: token != vocabulary.eos)
        pieces = [vocabulary.piece(token) for token in range(vocabulary.size)]
        made = tokenizer(pieces, marks, ends, self._tokens_of)
        return made, marks, Trial(Words(vocabulary.size, marks, ends))

    def _tokens_of(self, text: bytes) -> list[int]:
        return self._vocabulary.continued(text.decode("utf-8", "replace"))


def _drafts(wish: Wish, frame: Frame, marks: dict[str, int]) -> Iterator[Draft]:
    """Yield what surrounds the parts of a wish, if anything, then the parts."""
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
        yield Draft("whole", "lark", "\n".join([f"start: {start}", *rules]))
    for name, part in _parts(wish).items():
        if part is wish.answer or frame.form is not None:
            yield Draft(name, part.kind, part.text, wish.compact)


def _parts(wish: Wish) -> dict[str, Part]:
    """Return the parts of a wish by the names of their drafts."""
    parts = {} if wish.answer is None else {"answer": wish.answer}
    if wish.calls is not None:
        parts |= {f"arguments_{at}": part for at, part in enumerate(wish.calls.parameters)}
    return parts


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


def _refusal(wish: Wish, flaw: Flaw) -> UnsupportedGrammar:
    part = _parts(wish).get(flaw.draft or "")
    param = wish.param if part is None or part is wish.answer else "tools"
    what = f"'{param}'" if part is None else f"'{part.where}'"
    if part is not None and flaw.keyword is not None:
        what = f"'{flaw.keyword}' (at {flaw.pointer} in {part.where})"
    return UnsupportedGrammar(
        f"This engine cannot hold answers to {what}: {flaw.why}.", param=param
    )
