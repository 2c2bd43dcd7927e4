"""The sections of `routing.yaml` that rules are made of: when a rule matches, whom it may use.

Owns: keys, types, ranges of these; `gateway.config.schema` says where they stand.
Must not: match anything; `gateway.selection` does.
"""

from typing import Any, Literal, TypeAlias

from pydantic import Field, field_validator

from engines.kinds.section import OneOrMore, Section, several
from gateway.config.choosing import ShadowSection, Use


def _says_something(value: Any) -> Any:
    """Return a condition's value, which must not be left empty: that would match anything.

    Raises:
        ValueError: it is.
    """
    if value is None or value in ([], ()):
        raise ValueError("nothing stands here; write what is accepted, or remove the key")
    return value


class NotClause(Section):
    """`{not: ...}`: matches when none of the values does."""

    not_: OneOrMore = Field(alias="not", description="A value or a list of values.")


class RangeClause(Section):
    """`{min: ..., max: ...}`: both ends belong to the range."""

    min: int | None = Field(None, ge=0, description="Least value that matches.")
    max: int | None = Field(None, ge=0, description="Greatest value that matches.")

    _not_empty = field_validator("*", mode="before")(_says_something)


class ShareClause(Section):
    """`{min: ..., max: ...}` of what goes from 0 to 1: both ends belong to the range."""

    min: float | None = Field(None, ge=0, le=1, description="Least value that matches.")
    max: float | None = Field(None, ge=0, le=1, description="Greatest value that matches.")

    _not_empty = field_validator("*", mode="before")(_says_something)


Words: TypeAlias = OneOrMore | NotClause


def words_of(clause: Words) -> tuple[str, ...]:
    """Return the words of a condition, those of `not:` too."""
    return several(clause.not_ if isinstance(clause, NotClause) else clause)


class WhenSection(Section):
    """A rule's `when:`: all given conditions must hold; `undecided` matches only itself."""

    task: Words | None = Field(
        None,
        description="The task: code, math, reasoning, translation, summarization, extraction, "
        "writing, general, tool_use, vision, audio, embedding, rerank or undecided.",
    )
    language: Words | None = Field(
        None, description="Language of the answer (ISO 639-1), or undecided."
    )
    prompt_language: Words | None = Field(
        None,
        description="Language of the instruction (not of a document that comes with it), or "
        "undecided.",
    )
    request_size: Words | None = Field(None, description="small, medium or large.")
    prompt_tokens: RangeClause | None = Field(None, description="Estimated prompt tokens.")
    difficulty: ShareClause | None = Field(
        None,
        description="How hard the request looks, 0 to 1: the share of ordinary requests that look "
        "easier. A weak signal; `weighbridge route calibrate` finds the value for your models.",
    )
    variant: Words | None = Field(None, description="The part after `auto:` in the requested name.")
    tools: bool | None = Field(None, description="Whether the request carries tools.")
    images: bool | None = Field(None, description="Whether the request carries images.")
    json_schema: bool | None = Field(None, description="Whether the request asks for JSON.")
    header: dict[str, str] | None = Field(
        None, description="Request headers and the values they must have."
    )

    _not_empty = field_validator("*", mode="before")(_says_something)


class LicenceClause(Section):
    """A rule's `require: {licence: ...}`: which licences a chosen model may have."""

    classes: tuple[Literal["open", "conditional", "research", "unknown"], ...] | None = Field(
        None, description="Accepted licence classes."
    )
    spdx: tuple[str, ...] | None = Field(None, description="Accepted SPDX identifiers.")
    commercial: bool | None = Field(None, description="Whether commercial use must be allowed.")
    region: str | None = Field(None, description="A region where use must be allowed (`EU`).")
    monthly_users: int | None = Field(
        None, ge=0, description="Monthly active users that the licence must allow."
    )

    _not_empty = field_validator("*", mode="before")(_says_something)


class RequireSection(Section):
    """A rule's `require:`: constraints that filter the models of `use`."""

    family: OneOrMore | None = Field(None, description="Accepted families of the catalogue.")
    parameters: RangeClause | None = Field(None, description="Total number of parameters.")
    model_class: tuple[Literal["tiny", "small", "medium", "large"], ...] | None = Field(
        None,
        description="Accepted classes of size, by (active) parameters: tiny below 2 billion, "
        "small below 10, medium below 40, large.",
    )
    context: int | None = Field(None, ge=1, description="Smallest context, in tokens.")
    licence: LicenceClause | None = Field(None, description="Accepted licences.")

    _not_empty = field_validator("*", mode="before")(_says_something)


class RouteSection(Section):
    """An entry of `routes:`: for requests to `auto`, the first rule that matches wins."""

    name: str = Field(min_length=1, max_length=64, description="Shown in headers and explanations.")
    when: WhenSection | None = Field(
        None, description="Conditions; matches every request when absent."
    )
    require: RequireSection | None = Field(None, description="Constraints on the models.")
    use: Use = Field(
        description="Models or their aliases in order of preference; `{any: [...]}` to let scores "
        "decide, `{split: {...}}` for shares."
    )
    shadow: ShadowSection | None = Field(
        None, description="A second model that gets copies of the requests."
    )

    _not_empty = field_validator("when", "require", mode="before")(_says_something)
