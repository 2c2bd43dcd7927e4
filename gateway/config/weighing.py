"""The sections of `routing.yaml` that say how requests are weighed: sizes, languages, tasks.

Owns: their keys, ranges and defaults. Must not: weigh.
"""

from pydantic import Field

from engines.kinds.section import Section


class SizeSection(Section):
    """`sizes:` what `request_size` means, in tokens of the prompt and of the wanted answer."""

    small_below: int = Field(500, ge=1, description="Fewer tokens than this are small.")
    large_from: int = Field(4_000, ge=1, description="This many tokens or more are large.")
    counted_answer_tokens: int = Field(
        1_000,
        ge=0,
        description="Of the answer that a request wants (`max_tokens`) at most so many tokens "
        "count; many clients set it high on every request.",
    )
    image_tokens: int = Field(800, ge=0, description="Tokens that an image counts as.")
    ask_tokenizer: bool = Field(
        True,
        description="Whether an engine is asked to count where an estimate lies so near a "
        "threshold or a context that another model would be chosen.",
    )


class LanguageSection(Section):
    """`languages:` how sure weighing must be of a language."""

    undecided_below: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A language that is less likely than this is `undecided`; higher decides "
        "fewer short texts, and fewer of them wrongly.",
    )


class TaskSection(Section):
    """`tasks:` how sure weighing must be of a task."""

    undecided_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="A task that is less likely than this is `undecided`; without it, what the "
        "model was measured to need for 95% right on prompts of sources that it has not seen.",
    )
