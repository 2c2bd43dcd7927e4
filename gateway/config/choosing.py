"""The sections of `routing.yaml` that say how one of several models is chosen.

Owns: keys, types, ranges, defaults of these; `gateway.config.schema` says where they stand.
Must not: choose; `gateway.selection` does.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from engines.kinds.section import OneOrMore, Section

Weight: TypeAlias = Annotated[float, Field(ge=0, le=1_000)]


Share: TypeAlias = Annotated[float, Field(ge=0, le=1_000_000)]
Percent: TypeAlias = Annotated[float, Field(ge=0, le=100)]


class AnyOf(Section):
    """`{any: [...]}` in a rule's `use:`: scores decide who of these is first."""

    any: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Models or their aliases."
    )


class SplitOf(Section):
    """`{split: {...}}` in a rule's `use:`: each takes its share of the requests."""

    split: Annotated[dict[str, Share], Field(min_length=1)] = Field(
        description="Models or their aliases, with the share of each, relative to the sum."
    )
    sticky: Literal["user", "conversation", "none"] = Field(
        "user",
        description="What stays with its model: all requests of a user (the body's `user`; "
        "without one as `conversation`), a conversation (by its beginning), or nothing.",
    )


def _kind_of_use(value: Any) -> str:
    """Return which kind of `use:` somebody meant, so that only its own mistakes are told."""
    if isinstance(value, SplitOf) or (isinstance(value, dict) and "split" in value):
        return "SplitOf"
    return "AnyOf" if isinstance(value, AnyOf | dict) else "OneOrMore"


Use: TypeAlias = Annotated[
    Annotated[AnyOf, Tag("AnyOf")]
    | Annotated[SplitOf, Tag("SplitOf")]
    | Annotated[OneOrMore, Tag("OneOrMore")],
    Discriminator(_kind_of_use),
]


class ShadowSection(Section):
    """`shadow:` of a rule: a copy of its requests for a second model, whose answers are dropped."""

    model: str = Field(description="A model or its alias.")
    percent: Percent = Field(100, description="Percentage of the requests to copy.")


class ScoreSection(Section):
    """`scores:` how much each criterion counts where scores decide; 0 is not at all."""

    task: Weight = Field(6, description="Whether the model was made for the task.")
    language: Weight = Field(
        4, description="Whether the model officially supports the language of the answer."
    )
    size: Weight = Field(2, description="Whether its size suits the request's difficulty.")
    load: Weight = Field(2, description="How much room it has: 1 is idle, 0 is full.")
    loaded: Weight = Field(1, description="Whether it is loaded, else how soon it will be.")
    cache: Weight = Field(1, description="How much of the prompt is in its prefix cache.")


class ObserveSection(Section):
    """`observe:` where `mode: observe` writes what it sees; no text of a request is kept."""

    file: str = Field(
        "observed.jsonl", description="The file, relative to this one; one JSON object per line."
    )
    max_bytes: int = Field(
        64 * 1024 * 1024,
        ge=4_096,
        description="The file is rotated at this size; the previous one is kept as `FILE.1`.",
    )
