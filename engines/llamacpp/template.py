"""Chat templates: from messages to the text that the model was trained on.

Owns: what a template is given, and the small mercies that clients expect of every template.
Must not: tokenize; bound what a template does (`sandbox`).
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError

from engines.llamacpp.sandbox import Sandbox
from engines.llamacpp.speech.form import Form
from engines.llamacpp.speech.formats import GENERIC
from engines.llamacpp.tool_turns import Turn, shape_of, tells_of_tools, writes_results
from engines.llamacpp.tool_words import calls_as_text, results_as_text, telling
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import Message

# For weights that carry no template: nearly every model understands it.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content"
    " + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_PROBE = "a system prompt, to see whether it is kept"


class TemplateProblem(ValueError):
    """The weights carry a chat template that is none; the message is one line."""


class _Rejected(Exception):
    """The template itself refused the conversation."""


# What foreign code does when it stumbles over the shape of what it got.
_STUMBLES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


class ChatTemplate:
    """One model's template. `special` are the texts of tokens that templates name (bos_token).

    Where a template does not tell of tools or write calls, they are told and written in `form`.

    Raises:
        TemplateProblem: the template is no Jinja.
    """

    def __init__(self, source: str, special: Mapping[str, str], form: Form = GENERIC) -> None:
        self._sandbox = Sandbox()
        self._sandbox.filters["tojson"] = _to_json
        self._sandbox.globals["raise_exception"] = _reject
        self._sandbox.globals["strftime_now"] = _now
        try:
            self._template = self._sandbox.from_string(source)
        except TemplateSyntaxError as error:
            why = f"{error.message} in its line {error.lineno}"
            raise TemplateProblem(
                f"the chat template in the weights is not valid Jinja: {why}"
            ) from None
        except (TemplateError, SyntaxError, *_STUMBLES):
            raise TemplateProblem("the chat template in the weights cannot be compiled") from None
        self._special = dict(special)
        self._has_system_role = self._keeps_system_prompt()
        self._form = form
        self._tells_of_tools = tells_of_tools(self._attempt)
        self._shape = shape_of(self._attempt)
        self._writes_results = self._shape is not None or writes_results(self._attempt)

    @property
    def tells_of_tools(self) -> bool:
        """Whether the template itself tells the model of tools."""
        return self._tells_of_tools

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        opens_answer: bool = True,
    ) -> str:
        """Return the prompt, ready for the assistant's answer where it `opens_answer`.

        `developer` counts as `system`; text parts are joined; where the template knows no system
        role, that text goes before the first user turn's; tools, their calls and results come in
        the shape that the template takes, or else as text. `options` are variables of the
        template's own (`enable_thinking`).

        Raises:
            InvalidRequest: a part is no text, or the template rejects the conversation; its own
                words say why.
        """
        turns: list[Turn] = [_plain(message, index) for index, message in enumerate(messages)]
        turns = self._with_tools(turns, tools or ())
        if not self._has_system_role:
            turns = _merge_system(turns)
        try:
            return self._render(turns, tools, options, opens_answer=opens_answer)
        except _Rejected as error:
            why = str(error)
        except TemplateError as error:
            why = error.message or type(error).__name__
        except _STUMBLES as error:
            why = str(error) or type(error).__name__
        raise InvalidRequest(
            f"The model's chat template rejects these messages: {why}", param="messages"
        )

    def _with_tools(self, turns: list[Turn], tools: Sequence[Any]) -> list[Turn]:
        """Return the turns with tools, calls and results as the template takes them."""
        if tools and not self._tells_of_tools:
            turns = telling(turns, tools, self._form)
        if not self._writes_results:
            turns = results_as_text(turns)
        if self._shape is None:
            return calls_as_text(turns, self._form)
        return self._shape.shaped(turns)

    def _render(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Any] | None,
        options: Mapping[str, Any] | None = None,
        *,
        opens_answer: bool = True,
    ) -> str:
        values = {"messages": turns, "tools": tools or None, "add_generation_prompt": opens_answer}
        return self._sandbox.written(self._template, {**(options or {}), **values, **self._special})

    def _attempt(self, turns: Sequence[Turn], tools: Sequence[Any] | None = None) -> str | None:
        """Return what the template makes of these turns; None where it fails."""
        try:
            return self._render(turns, tools)
        except (_Rejected, TemplateError, *_STUMBLES):
            return None

    def _keeps_system_prompt(self) -> bool:
        turns = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "a"}]
        return _PROBE in (self._attempt(turns) or "")


def check_parts(message: Message, index: int) -> None:
    """Refuse a message that has a part which is no text.

    Raises:
        InvalidRequest: it has one.
    """
    if isinstance(message.content, list):
        for at, part in enumerate(message.content):
            if part.type != "text":
                raise InvalidRequest(
                    f"This model reads text only, not parts of type '{part.type}'.",
                    param=f"messages[{index}].content[{at}]",
                    code="unsupported_capability",
                )


def _plain(message: Message, index: int) -> dict[str, Any]:
    """Return a message as templates expect it, its content one text."""
    check_parts(message, index)
    turn: dict[str, Any] = {
        "role": "system" if message.role == "developer" else message.role,
        "content": message.text(),
    }
    optional = {
        "name": message.name,
        "tool_calls": message.tool_calls,
        "tool_call_id": message.tool_call_id,
        # Templates have these three names for it; each looks for its own.
        **dict.fromkeys(("reasoning_content", "reasoning", "thinking"), message.thought()),
    }
    return turn | {key: value for key, value in optional.items() if value is not None}


def _merge_system(turns: list[Turn]) -> list[Turn]:
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    others = [turn for turn in turns if turn["role"] != "system"]
    if not system:
        return others
    first = next((at for at, turn in enumerate(others) if turn["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": system}, *others]
    merged = {**others[first], "content": f"{system}\n\n{others[first]['content']}"}
    return [*others[:first], merged, *others[first + 1 :]]


def _reject(message: str) -> str:
    raise _Rejected(message)


def _now(form: str) -> str:
    return dt.datetime.now(tz=dt.UTC).strftime(form)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes for HTML.
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=None if indent is None else min(indent, 16),
        separators=separators,
        sort_keys=sort_keys,
        default=_listed,
    )


def _listed(value: Any) -> list[Any]:
    """Return what a filter gives one by one (`map`, `select`), which is a list to a template."""
    if isinstance(value, Iterator):
        return list(value)
    raise TypeError(f"a {type(value).__name__} is no JSON")
