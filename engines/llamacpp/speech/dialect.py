"""Which dialect a model speaks, seen in its chat template and its architecture.

Owns: the table. A model's name decides nothing: names are anybody's to give.
Must not: read text.
"""

import uuid
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from engines.llamacpp.speech.formats import (
    DEEPSEEK,
    DEEPSEEK_BARE,
    HERMES,
    LLAMA,
    MISTRAL,
    MISTRAL_ARGS,
    PLAIN,
    Format,
)
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


# Others use the same markers around forms of their own: XML (Qwen3-Coder, Nemotron), GLM's pairs.
_OTHERS = ("<function=", "<arg_key>")
_LLAMAS = frozenset({"llama", "llama4", "mllama"})

# The first that fits. Llama's row comes late: its JSON has no marker, so that every answer that
# begins with a brace must be looked at.
_TABLE = (
    _Row(DEEPSEEK, (DEEPSEEK.markers[0], "```json")),
    _Row(DEEPSEEK_BARE, DEEPSEEK_BARE.markers[:1]),
    _Row(MISTRAL_ARGS, ("[TOOL_CALLS]", "[ARGS]")),
    _Row(MISTRAL, ("[TOOL_CALLS]",)),
    _Row(HERMES, ("<tool_call>", "arguments"), ('"name', '\\"name'), _OTHERS),
    _Row(
        LLAMA,
        (),
        ('{"name": function name, "parameters"', "<|python_start|>", "[func_name1("),
        _OTHERS,
        _LLAMAS,
    ),
)
_TAGS = (
    Tags("<think>", "</think>", "\n</think>\n\n"),
    Tags("[THINK]", "[/THINK]", "[/THINK]"),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one model writes calls and thoughts; `tags` is None where it does not think."""

    form: Format
    tags: Tags | None

    def tokens(self, *, calls: bool) -> tuple[str, ...]:
        """Return the texts that a reader must see even where they are control tokens."""
        tags = () if self.tags is None else (self.tags.opening, self.tags.closing)
        return (*self.form.tokens, *tags) if calls else tags

    def thinks_after(self, prompt: str) -> bool:
        """Say whether the prompt has opened the thought in which the answer begins."""
        return self.tags is not None and prompt.rstrip().endswith(self.tags.opening)

    def new_id(self) -> str:
        """Return an id for a call."""
        mark = uuid.uuid4().hex
        return mark[:9] if self.form.short_ids else f"call_{mark[:24]}"

    def hear(
        self,
        names: AbstractSet[str] = frozenset(),
        *,
        thinking: bool = False,
        amid: bool = False,
        split: bool = True,
        new_id: Callable[[], str] | None = None,
    ) -> Speech:
        """Return a reader for one answer.

        Calls are those of functions in `names`. `thinking`: the prompt has opened the thought;
        `amid`: and has said some of it. Without `split` thoughts stay where they are, in the
        content.
        """
        return Speech(
            self.form,
            self.tags,
            names,
            new_id or self.new_id,
            thinking=thinking,
            amid=amid,
            split=split,
        )


def dialect_of(template: str, architecture: str) -> Dialect:
    """Return the dialect of a model with this chat template and GGUF architecture."""
    form = next((row.form for row in _TABLE if row.fits(template, architecture)), PLAIN)
    tags = next((tags for tags in _TAGS if tags.closing in template), None)
    return Dialect(form, tags)
