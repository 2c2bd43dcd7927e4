"""A conversation as the worker will write it, and which of its tokens the model says.

Owns: the text between two answers, through the model's own template and the worker's renderer.
Must not: choose what is said.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engines.llamacpp.template import ChatTemplate
from engines.protocol.requests import Message
from tools.demo_models.families import Family

SILENT = -100  # a target that counts for nothing


def template_of(family: Family) -> ChatTemplate:
    """Return the renderer of a family's template."""
    return ChatTemplate(family.template, {"bos_token": family.bos, "eos_token": family.eos})


class Talk:
    """Grows by messages. `ids` are its tokens, `wanted` those of the model; else `SILENT`."""

    def __init__(
        self,
        template: ChatTemplate,
        end_of_turn: str,
        ids_of: Callable[[str], list[int]],
        tools: Sequence[Any] = (),
    ) -> None:
        self.ids: list[int] = []
        self.wanted: list[int] = []
        self._template = template
        self._end = end_of_turn
        self._ids_of = ids_of
        self._tools = tools
        self._messages: list[Message] = []
        self._text = ""

    def hear(self, message: Message) -> None:
        """Add what counts for nothing: questions, results, an answer that it is not to learn."""
        self._messages.append(message)

    def answer(self, message: Message) -> None:
        """Add an answer of the model."""
        prompt = self._written(opens_answer=True)
        self._messages.append(message)
        whole = self._written(opens_answer=False)
        end = whole.rindex(self._end) + len(self._end)
        self._add(prompt[len(self._text) :], counts=False)
        self._add(whole[len(prompt) : end], counts=True)
        self._add(whole[end:], counts=False)
        self._text = whole

    def finish(self, text: str, options: Mapping[str, Any]) -> None:
        """Add the last answer, which the template would not write so once the talk went on."""
        prompt = self._written(options, opens_answer=True)
        self._add(prompt[len(self._text) :], counts=False)
        self._add(text + self._end, counts=True)

    def _written(self, options: Mapping[str, Any] | None = None, *, opens_answer: bool) -> str:
        return self._template.render(
            self._messages, self._tools, options, opens_answer=opens_answer
        )

    def _add(self, text: str, *, counts: bool) -> None:
        ids = self._ids_of(text)
        self.ids += ids
        self.wanted += ids if counts else [SILENT] * len(ids)
