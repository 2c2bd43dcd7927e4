"""The sections of `routing.yaml` that say how requests are weighed: sizes, languages, tasks.

Owns: their keys, ranges and defaults. Must not: weigh.
"""

from pydantic import Field

from engines.kinds.section import Section


class SizeSection(Section):
    """`sizes:` what `request_size` means, in tokens of the prompt and of the wanted answer."""

    small_below: int = Field(500, ge=1, description="Fewer tokens are small.")
    large_from: int = Field(4_000, ge=1, description="This many tokens or more are large.")
    counted_answer_tokens: int = Field(
        1_000,
        ge=0,
        description="Cap on how much of the requested answer (`max_tokens`) counts; many clients "
        "set it high on every request.",
    )
    image_tokens: int = Field(800, ge=0, description="Tokens that an image counts as.")
    ask_tokenizer: bool = Field(
        True,
        description="Whether an engine counts the tokens where an estimate is so near a threshold "
        "or a context limit that another model could be chosen.",
    )


class LanguageSection(Section):
    """`languages:` how sure weighing must be of a language."""

    undecided_below: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A language with a lower probability is `undecided`; a higher value decides "
        "fewer short texts, and fewer of them wrongly.",
    )


class TaskSection(Section):
    """`tasks:` how sure weighing must be of a task."""

    undecided_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="A task with a lower probability is `undecided`; by default, the threshold "
        "measured for 95% right on prompts from unseen sources.",
    )
