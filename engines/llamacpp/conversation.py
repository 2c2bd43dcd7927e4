"""Conversations with one model: the prompt that they become, and how the answer is heard.

Owns: the templates of the weights and the dialects seen in them; what a dialect adds to an order.
Must not: render or read text itself (`template`, `speech`); evaluate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from engines.llamacpp.continuing import begun, check_continuing, goes_on_thinking, has_begun
from engines.llamacpp.grammar.frame import Frame
from engines.llamacpp.orders import Order
from engines.llamacpp.pictures import Seen, is_text
from engines.llamacpp.room import Room
from engines.llamacpp.showing import Marks
from engines.llamacpp.speech.budget import ThoughtBudget
from engines.llamacpp.speech.dialect import Dialect, dialect_of
from engines.llamacpp.speech.form import Form
from engines.llamacpp.speech.formats import GENERIC, HERMES
from engines.llamacpp.speech.speech import Speech
from engines.llamacpp.template import CHATML, ChatTemplate
from engines.llamacpp.thinking import template_options, thought_tokens
from engines.llamacpp.vocabulary import Vocabulary
from engines.protocol.requests import ChatRequest, Message

# Enough for a tag that opens a thought, even where each of its bytes is a token.
_PROMPT_END = 16
# Longer answers that go on are not read again: a call in which they break off stays content.
_MOST_HEARD = 16 * 1024


class _Limits(Protocol):
    @property
    def context(self) -> int: ...


class Told(Protocol):
    """What weights tell of conversations, loaded (a runtime) or not (`counting`)."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens."""

    @property
    def limits(self) -> _Limits:
        """The context in tokens."""

    def meta(self, key: str) -> str | None:
        """Return a value of the header as text."""


@dataclass(frozen=True, slots=True)
class Manner:
    """A template, and how a model speaks that was trained on it."""

    template: ChatTemplate
    dialect: Dialect


def manner_of(source: str, architecture: str, special: Mapping[str, str]) -> Manner:
    """Return what a template's text says of its model.

    One that is not told of tools by its template is told by us, and calls as we tell it to.

    Raises:
        TemplateProblem: the template is none.
    """
    dialect = dialect_of(source, architecture)
    own = dialect.form.form
    template = ChatTemplate(source, special, own if isinstance(own, Form) else GENERIC)
    if own is None and not template.tells_of_tools:
        dialect = replace(dialect, form=HERMES)
    return Manner(template, dialect)


class Conversations:
    """What one model's chat requests need. Reads only; safe from the event loop.

    Raises:
        TemplateProblem: a template of the weights is none.
    """

    def __init__(self, runtime: Told) -> None:
        self._vocabulary = runtime.vocabulary
        self._room = Room(runtime.vocabulary, runtime.limits.context)
        source = runtime.meta("tokenizer.chat_template") or CHATML
        self._plain = self._manner(runtime, source)
        # Some weights carry a template of its own for requests with tools.
        with_tools = runtime.meta("tokenizer.chat_template.tool_use")
        self._with_tools = self._manner(runtime, with_tools) if with_tools else self._plain

    def tokens(self, request: ChatRequest, seen: Seen | None = None) -> list[int]:
        """Return the tokens of a conversation as the template writes it, images as they were seen.

        An answer that is continued is never shown to the template, which might trim it or add to
        it: its tokens stand behind the opening of an answer, as if the model had just said them.

        Raises:
            InvalidRequest: the template rejects it, or there is nothing to continue.
        """
        if not request.continue_final_message:
            opens_answer = request.add_generation_prompt is not False
            return self._written(request, request.messages, seen, opens_answer=opens_answer)
        tags = self._for(request).dialect.tags
        check_continuing(request, tags)
        tokens = self._written(request, request.messages[:-1], seen, opens_answer=True)
        opened = self._opens_thought(request, tokens)
        answer = begun(request.messages[-1], tags, opened=opened)
        return tokens + self._vocabulary.continued(answer, parse_special=True)

    def told(self, request: ChatRequest, order: Order) -> Order:
        """Return the order with what it must show of marks, the bound on its thought, its end.

        Raises:
            InvalidRequest: what it says of its thoughts is malformed.
        """
        ear = None if _most_calls(request) is None else self._ear(request, order)
        thoughts = self._thoughts(request, order.prompt)
        return replace(order, shown=self._shown(request), thoughts=thoughts, ear=ear)

    def speeches(self, request: ChatRequest, orders: Sequence[Order]) -> list[Speech]:
        """Return what hears the answer of each order: its thoughts, its calls."""
        return [self._speech(request, order) for order in orders]

    def frame(self, request: ChatRequest, orders: Sequence[Order]) -> Frame:
        """Return what may stand around an answer that is held to something."""
        dialect = self._for(request).dialect
        tags = dialect.tags
        form, thinking = dialect.form.form, self._thinks_after(request, orders[0].prompt)
        if tags is None:
            return Frame(form)
        return Frame(form, (tags.opening, tags.closing), thinking, tags.turn, tags.answer)

    def _speech(self, request: ChatRequest, order: Order) -> Speech:
        dialect, last = self._for(request).dialect, request.messages[-1]
        thinking = self._thinks_after(request, order.prompt)
        goes_on = bool(request.continue_final_message) and has_begun(last)

        def hear() -> Speech:
            return dialect.hear(
                _functions(request),
                thinking=thinking,
                amid=goes_on,
                split=request.reasoning_format != "none",
                most=_most_calls(request),
            )

        speech = hear()
        said = last.text() if goes_on and not (thinking or dialect.form.envelops) else ""
        if said and len(said) <= _MOST_HEARD and not _has_calls(hear(), said):
            speech.go_on_from(said)
        return speech

    def _ear(self, request: ChatRequest, order: Order) -> Callable[[], Callable[[str], bool]]:
        """Return what listens until there are as many calls as the request wants."""

        def listen() -> Callable[[str], bool]:
            speech = self._speech(request, order)

            def is_complete(text: str) -> bool:
                speech.feed(text)
                return speech.over

            return is_complete

        return listen

    def _written(
        self,
        request: ChatRequest,
        messages: Sequence[Message],
        seen: Seen | None,
        *,
        opens_answer: bool,
    ) -> list[int]:
        tools = None if request.tool_choice == "none" else request.tools
        marks = Marks(seen or {})
        text = self._for(request).template.render(
            marks.marked(messages), tools, template_options(request), opens_answer=opens_answer
        )
        self._room.check_text(text, "messages")
        tokens = marks.tokens(text, self._vocabulary)
        if self._vocabulary.adds_bos and tokens[:1] != [self._vocabulary.bos]:
            tokens.insert(0, self._vocabulary.bos)
        return tokens

    def _manner(self, runtime: Told, source: str) -> Manner:
        special = {
            "bos_token": self._vocabulary.text([self._vocabulary.bos], special=True),
            "eos_token": self._vocabulary.text([self._vocabulary.eos], special=True),
        }
        return manner_of(source, runtime.meta("general.architecture") or "", special)

    def _for(self, request: ChatRequest) -> Manner:
        """Return how the model speaks here; where it must call and has no form, in a common one."""
        manner = self._with_tools if request.functions() else self._plain
        if _must_call(request) and manner.dialect.form.form is None:
            return replace(manner, dialect=replace(manner.dialect, form=HERMES))
        return manner

    def _shown(self, request: ChatRequest) -> dict[int, bytes]:
        """Return the control tokens that mark calls and thoughts, and their texts."""
        shown: dict[int, bytes] = {}
        for text in self._for(request).dialect.tokens(calls=bool(request.functions())):
            tokens = self._vocabulary.tokens(text, add_special=False, parse_special=True)
            if len(tokens) == 1 and not self._vocabulary.piece(tokens[0]):
                shown[tokens[0]] = text.encode()
        return shown

    def _thoughts(self, request: ChatRequest, prompt: Sequence[int]) -> ThoughtBudget | None:
        dialect = self._for(request).dialect
        most, tags = thought_tokens(request), dialect.tags
        if most is None or tags is None:
            return None
        # The header of an answer would be no call.
        ending = tags.closing + tags.turn if tags.turn and _must_call(request) else tags.ending
        closing = self._vocabulary.tokens(ending, add_special=False, parse_special=True)
        return ThoughtBudget(tags, self._thinks_after(request, prompt), most, tuple(closing))

    def _thinks_after(self, request: ChatRequest, prompt: Sequence[int]) -> bool:
        """Say whether the answer goes on in a thought that the prompt has opened."""
        if request.continue_final_message:
            thinks = goes_on_thinking(request.messages[-1], self._for(request).dialect.tags)
            if thinks is not None:
                return thinks
        return self._opens_thought(request, prompt)

    def _opens_thought(self, request: ChatRequest, prompt: Sequence[int]) -> bool:
        last = [token for token in prompt[-_PROMPT_END:] if is_text(token)]
        end = self._vocabulary.text(last, special=True)
        return self._for(request).dialect.thinks_after(end)


def _must_call(request: ChatRequest) -> bool:
    return request.tool_choice not in (None, "auto", "none")


def _has_calls(speech: Speech, text: str) -> bool:
    speech.feed(text)
    return speech.calls > 0


def _most_calls(request: ChatRequest) -> int | None:
    return 1 if request.functions() and request.parallel_tool_calls is False else None


def _functions(request: ChatRequest) -> dict[str, Any]:
    """Return the schema of each function's parameters, None where there is none."""
    names = request.functions()
    tools = [tool["function"] for tool in request.tools or () if _names(tool, names)]
    return {function["name"]: function.get("parameters") for function in tools}


def _names(tool: Any, names: frozenset[str]) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return isinstance(name, str) and name in names
