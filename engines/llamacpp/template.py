"""Chat templates: from messages to the text that the model was trained on.

Owns: rendering in a sandbox, and the small mercies that clients expect of every template.
Must not: tokenize.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import Message

# For weights that carry no template: nearly every model understands it.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content"
    " + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_PROBE = "a system prompt, to see whether it is kept"


class _Rejected(Exception):
    """The template itself refused the conversation."""


class ChatTemplate:
    """One model's template. `special` are the texts of tokens that templates name (bos_token).

    Raises:
        TemplateError: the template is no Jinja.
    """

    def __init__(self, source: str, special: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _reject
        environment.globals["strftime_now"] = _now
        self._template = environment.from_string(source)
        self._special = dict(special)
        self._has_system_role = self._keeps_system_prompt()

    def render(self, messages: Sequence[Message], tools: Sequence[Any] | None = None) -> str:
        """Return the prompt, ready for the assistant's answer.

        `developer` counts as `system`; text parts are joined; where the template knows no system
        role, that text goes before the first user turn's.

        Raises:
            InvalidRequest: a part is no text, or the template rejects the conversation; its own
                words say why.
        """
        turns = [_plain(message, index) for index, message in enumerate(messages)]
        if not self._has_system_role:
            turns = _merge_system(turns)
        try:
            return self._render(turns, tools)
        except _Rejected as error:
            why = str(error)
        except TemplateError as error:
            why = error.message or type(error).__name__
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            why = str(error)  # a template that stumbles over the shape of what it got
        raise InvalidRequest(
            f"The model's chat template rejects these messages: {why}", param="messages"
        )

    def _render(self, turns: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None) -> str:
        return self._template.render(
            messages=turns, tools=tools or None, add_generation_prompt=True, **self._special
        )

    def _keeps_system_prompt(self) -> bool:
        turns = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "a"}]
        try:
            return _PROBE in self._render(turns, None)
        except (_Rejected, TemplateError, TypeError, ValueError, KeyError, AttributeError):
            return False


def _plain(message: Message, index: int) -> dict[str, Any]:
    """Return a message as templates expect it, its content one text."""
    if isinstance(message.content, list):
        for at, part in enumerate(message.content):
            if part.type != "text":
                raise InvalidRequest(
                    f"This model reads text only, not parts of type '{part.type}'.",
                    param=f"messages[{index}].content[{at}]",
                    code="unsupported_capability",
                )
    turn: dict[str, Any] = {
        "role": "system" if message.role == "developer" else message.role,
        "content": message.text(),
    }
    optional = {
        "name": message.name,
        "tool_calls": message.tool_calls,
        "tool_call_id": message.tool_call_id,
        "reasoning_content": message.reasoning_content,
    }
    return turn | {key: value for key, value in optional.items() if value is not None}


def _merge_system(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    others = [turn for turn in turns if turn["role"] != "system"]
    if not system:
        return others
    first = next((at for at, turn in enumerate(others) if turn["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": system}, *others]
    merged = others[first] | {"content": f"{system}\n\n{others[first]['content']}"}
    return [*others[:first], merged, *others[first + 1 :]]


def _reject(message: str) -> str:
    raise _Rejected(message)


def _now(form: str) -> str:
    return dt.datetime.now(tz=dt.UTC).strftime(form)


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
