"""From a wish to a compiled grammar, on a thread of its own.

Owns: the tokenizer that llguidance needs (made once, when first wanted), the last grammars that
were compiled, the errors that say what cannot be held.
Must not: read what was not tried by `trial` before.
"""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from llguidance import LLMatcher, LLTokenizer

from engines.llamacpp.grammar.calls import Rules, calls_rules, spelled, text_up_to
from engines.llamacpp.grammar.constraint import Compiled
from engines.llamacpp.grammar.draft import Draft, Flaw
from engines.llamacpp.grammar.elements import elements_rules
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.grammar.loosening import loosened
from engines.llamacpp.grammar.reading import grammar_of, limits
from engines.llamacpp.grammar.tokens import tokenizer
from engines.llamacpp.grammar.trial import Trial, Words
from engines.llamacpp.grammar.wish import Part, UnsupportedGrammar, Wish
from engines.llamacpp.speech.form import Form
from engines.llamacpp.vocabulary import Vocabulary

# Clients send the same schema again and again; a few of them are in use at once. What is compiled
# can take some hundred times the memory of its text.
_KEPT = 32
_KEPT_CHARACTERS = 512 * 1024
_TEXT = "TEXT: /(.|\\n)*/"


class Compiler:
    """Compiles one after another; `compile` is called from the event loop."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="grammar")
        self._made: tuple[LLTokenizer, dict[str, int], Trial] | None = None
        self._kept: dict[tuple[Wish, Frame], Compiled | UnsupportedGrammar] = {}

    async def compile(self, wish: Wish, frame: Frame) -> Compiled | None:
        """Return the grammar of a wish.

        None for calls amid free text where no token tells them from it: Llama's have none.

        Raises:
            UnsupportedGrammar: it cannot be held; the message says which keyword, and where.
        """
        found = self._kept.get((wish, frame))
        if found is None:
            found = await asyncio.wrap_future(self._thread.submit(self._compile, wish, frame))
        if found is None:
            return None
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

    def _compile(self, wish: Wish, frame: Frame) -> Compiled | UnsupportedGrammar | None:
        words, marks, trial = self._made = self._made or self._make()
        if wish.free and not _is_marked(frame, marks):
            return None
        found = self._kept.get((wish, frame))
        if found is None:
            found = self._kept[wish, frame] = self._tried(wish, frame, words, marks, trial)
            while len(self._kept) > 1 and self._keeps_too_much():
                del self._kept[next(iter(self._kept))]
        return found

    def _keeps_too_much(self) -> bool:
        size = sum(wish.size for wish, _ in self._kept)
        return len(self._kept) > _KEPT or size > _KEPT_CHARACTERS

    def _tried(
        self, wish: Wish, frame: Frame, words: LLTokenizer, marks: dict[str, int], trial: Trial
    ) -> Compiled | UnsupportedGrammar:
        rules = _calls(wish, frame, marks)
        drafts, flaw = loosened(list(_drafts(wish, frame, rules, marks)), trial.flaw)
        if flaw is not None:
            return _refusal(wish, rules.parts.get(flaw.draft or ""), flaw)
        matcher = LLMatcher(words, grammar_of(drafts), log_level=0, limits=limits())
        if matcher.is_error():
            return _refusal(wish, None, Flaw(matcher.get_error()))
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


def _calls(wish: Wish, frame: Frame, marks: Mapping[str, int]) -> Rules:
    """Return the rules of the calls that are wished for; none where the model has no form."""
    if wish.calls is None or frame.form is None:
        return Rules("")
    if isinstance(frame.form, Form):
        return calls_rules(wish.calls, frame.form, marks)
    return elements_rules(wish.calls, frame.form, marks)


def _drafts(wish: Wish, frame: Frame, calls: Rules, marks: Mapping[str, int]) -> Iterator[Draft]:
    """Yield what surrounds the parts of a wish, if anything, then the parts."""
    rules = [calls.text]
    choices = ["calls"] if calls.text else []
    if wish.answer is not None:
        choices.insert(0, f"{spelled(frame.answer, marks)} @answer".strip())
    if wish.free:
        choices = _amid_text(wish, frame, marks)
        rules.append(_TEXT)
    start = " | ".join(choices)
    if frame.thought is not None:
        start = f"thought ({start})" if frame.thinking else f"thought? ({start})"
        rules.append(_thought(*frame.thought, frame, marks))
    if start != "@answer":
        yield Draft("whole", "lark", "\n".join([f"start: {start}", *rules]))
    if wish.answer is not None:
        yield _draft("answer", wish.answer, wish)
    for name, part in calls.parts.items():
        yield _draft(name, part, wish)


def _draft(name: str, part: Part, wish: Wish) -> Draft:
    return Draft(name, part.kind, part.text, wish.compact, part.loose)


def _is_marked(frame: Frame, marks: Mapping[str, int]) -> bool:
    """Say whether calls begin with a token that stands in no text."""
    return frame.form is not None and any(frame.form.start.startswith(mark) for mark in marks)


def _amid_text(wish: Wish, frame: Frame, marks: Mapping[str, int]) -> list[str]:
    """Return the choices where any text may come, up to the token that begins calls.

    Behind the one call that there may be a model that goes on would call again, which it may not.
    """
    if frame.answer:
        return [f"{spelled(frame.answer, marks)} TEXT", "calls"]
    if wish.calls is not None and wish.calls.most == 1:
        return ["TEXT calls", "TEXT"]
    return ["(TEXT calls)? TEXT"]


def _thought(opening: str, closing: str, frame: Frame, marks: Mapping[str, int]) -> str:
    """Return the rule of a thought: any text up to its end, and what stands behind it."""
    first = "" if frame.thinking else spelled(opening, marks)
    text, rule = text_up_to("thinking", closing, marks)
    behind = spelled(frame.turn, marks) or "/\\n{0,2}/"
    return f"thought: {first} {text} {behind}\n{rule}"


def _refusal(wish: Wish, of_calls: Part | None, flaw: Flaw) -> UnsupportedGrammar:
    """Say what is wrong, in the answer's part or in one that belongs to the calls."""
    part = wish.answer if flaw.draft == "answer" else of_calls
    param = wish.param if of_calls is None else "tools"
    what = f"'{param}'" if part is None else f"'{part.where}'"
    if part is not None and flaw.keyword is not None:
        what = f"'{flaw.keyword}' (at {flaw.pointer} in {part.where})"
    return UnsupportedGrammar(f"This engine cannot enforce {what}: {flaw.why}.", param=param)
