"""Which dialect a model speaks, seen in its chat template and its architecture.

Owns: the table. A model's name decides nothing: names are anybody's to give.
Must not: read text.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from engines.llamacpp.speech.form import Format
from engines.llamacpp.speech.formats import (
    DEEPSEEK,
    DEEPSEEK_BARE,
    DSML,
    GEMMA,
    GLM,
    HARMONY,
    HERMES,
    KIMI,
    LLAMA,
    MINIMAX,
    MISTRAL,
    MISTRAL_ARGS,
    PLAIN,
    QWEN_XML,
    SEED,
)
from engines.llamacpp.speech.harmony import HarmonySpeech
from engines.llamacpp.speech.lists import COHERE, COMMAND_R, FUNCTIONARY, GRANITE, LFM
from engines.llamacpp.speech.recipients import RECIPIENTS, RecipientSpeech
from engines.llamacpp.speech.speech import Speech, Tags


@dataclass(frozen=True, slots=True)
class _Row:
    """A format, where the template has `all_of`, one of `any_of` and none of `none_of`."""

    form: Format
    all_of: tuple[str, ...]
    any_of: tuple[str, ...] = ("",)
    none_of: tuple[str, ...] = ()
    architectures: frozenset[str] | None = None

    def fits(self, template: str, architecture: str) -> bool:
        return (
            all(text in template for text in self.all_of)
            and any(text in template for text in self.any_of)
            and not any(text in template for text in self.none_of)
            and (self.architectures is None or architecture in self.architectures)
        )


# Others use the same markers around forms of their own.
_OTHERS = ("<function=", "<arg_key>")
_LLAMAS = frozenset({"llama", "llama4", "mllama"})

# The first that fits. Llama's row comes late: its JSON has no marker, so that every answer that
# begins with a brace must be looked at.
_TABLE = (
    _Row(DEEPSEEK, (DEEPSEEK.markers[0], "```json")),
    _Row(DEEPSEEK_BARE, DEEPSEEK_BARE.markers[:1]),
    _Row(MISTRAL_ARGS, ("[TOOL_CALLS]", "[ARGS]")),
    _Row(MISTRAL, ("[TOOL_CALLS]",)),
    _Row(DSML, ("\uff5cDSML\uff5c", "invoke name=")),
    _Row(HARMONY, ("<|channel|>analysis<|message|>",)),
    _Row(KIMI, ("<|tool_call_argument_begin|>",)),
    _Row(GEMMA, GEMMA.markers),
    _Row(QWEN_XML, ("<tool_call>", "<function=", "<parameter=")),
    _Row(GLM, ("<tool_call>", "<arg_key>", "<arg_value>")),
    _Row(SEED, ("<seed:tool_call>", "<function=", "<parameter=")),
    _Row(MINIMAX, ("<minimax:tool_call>", "<invoke name=", "<parameter name=")),
    _Row(HERMES, ("<tool_call>", "arguments"), ('"name', '\\"name'), _OTHERS),
    _Row(LFM, ("List of tools: ", "<|im_start|>"), none_of=("<tool_call>",)),
    _Row(GRANITE, ("<|tool_call|>", "<|start_of_role|>")),
    _Row(COHERE, ("<|START_ACTION|>", '"tool_name"')),
    _Row(COMMAND_R, ("Action:", "```json", '"tool_name"', "<|CHATBOT_TOKEN|>")),
    _Row(RECIPIENTS, (">>>${recipient}",)),
    _Row(FUNCTIONARY, ("<function=example_function_name>{", "</function>")),
    _Row(
        LLAMA,
        (),
        ('{"name": function name, "parameters"', "<|python_start|>", "[func_name1("),
        _OTHERS,
        _LLAMAS,
    ),
)
# Thoughts, by a text that only templates of their kind have.
_TAGS = (
    ("</think>", Tags("<think>", "</think>", "\n</think>\n\n")),
    ("</seed:think>", Tags("<seed:think>", "</seed:think>", "</seed:think>")),
    *(
        (
            mark,
            Tags("<|START_THINKING|>", "<|END_THINKING|>", "<|END_THINKING|>", answer=mark),
        )
        for mark in ("<|START_TEXT|>", "<|START_RESPONSE|>")
    ),
    ("[/THINK]", Tags("[THINK]", "[/THINK]", "[/THINK]")),
    (
        "<|channel>thought",
        Tags("<|channel>thought", "<channel|>", "\n<channel|>", tokens=("<|channel>",)),
    ),
    (
        "<|channel|>analysis<|message|>",
        Tags(
            "<|channel|>analysis<|message|>",
            "<|end|>",
            "<|end|><|start|>assistant<|channel|>final<|message|>",
            turn="<|start|>assistant",
            answer="<|channel|>final<|message|>",
        ),
    ),
)


# Who reads answers all of which stand within marks.
_SPEECHES: Mapping[str, type[Speech]] = {
    HARMONY.name: HarmonySpeech,
    RECIPIENTS.name: RecipientSpeech,
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one model writes calls and thoughts; `tags` is None where it does not think."""

    form: Format
    tags: Tags | None

    def tokens(self, *, calls: bool) -> tuple[str, ...]:
        """Return the texts that a reader must see even where they are control tokens."""
        own, tags = self.form.tokens, self.tags
        found = own if calls or self.form.envelops else ()
        return found if tags is None else (*found, tags.opening, tags.closing, *tags.tokens)

    def thinks_after(self, prompt: str) -> bool:
        """Say whether the prompt has opened the thought in which the answer begins."""
        return self.tags is not None and prompt.rstrip().endswith(self.tags.opening)

    def new_id(self) -> str:
        """Return an id for a call."""
        mark = uuid.uuid4().hex
        return mark[:9] if self.form.short_ids else f"call_{mark[:24]}"

    def hear(
        self,
        functions: Mapping[str, Any] = MappingProxyType({}),
        *,
        thinking: bool = False,
        amid: bool = False,
        split: bool = True,
        most: int | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> Speech:
        """Return a reader for one answer.

        Calls are those of `functions`, whose parameters have these schemas, and `most` of them at
        most. `thinking`: the prompt has opened the thought; `amid`: and has said some of it.
        Without `split` thoughts stay where they are, in the content.
        """
        return _SPEECHES.get(self.form.name, Speech)(
            self.form,
            self.tags,
            functions,
            new_id or self.new_id,
            thinking=thinking,
            amid=amid,
            split=split,
            most=most,
        )


def dialect_of(template: str, architecture: str) -> Dialect:
    """Return the dialect of a model with this chat template and GGUF architecture."""
    form = next((row.form for row in _TABLE if row.fits(template, architecture)), PLAIN)
    tags = next((tags for sign, tags in _TAGS if sign in template), None)
    return Dialect(form, tags)
