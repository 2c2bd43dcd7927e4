"""The shape of `routing.yaml`: frozen, extras forbidden, each key described once, here.

Owns: keys, types, ranges, defaults; the sections of `engines:` stand with their kinds in
`engines.kinds`. The descriptions are the config reference (docs).
Must not: read files or the environment (`gateway.config.loading` does), or compare entries with
each other (`gateway.config.checks` does).
"""

from typing import Literal, TypeAlias

from pydantic import Field

from engines.families import Strength
from engines.kinds import EngineSection
from engines.kinds.section import OneOrMore, Seconds, Section, several
from engines.weights import Pooling
from gateway.config.choosing import ObserveSection, ScoreSection, ShadowSection, Use


class GatewaySection(Section):
    """`gateway:` how the front door behaves."""

    host: str = Field("127.0.0.1", description="Address to bind; without a key loopback only.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to bind; 0 takes a free one.")
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Host names that clients may use besides loopback names and `host`; "
        "without a key beyond loopback, besides IP addresses too.",
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="Web origins (`https://chat.example`) whose pages may call the gateway."
    )
    body_limit_bytes: int = Field(
        32 * 1024 * 1024, gt=0, description="Largest request body, in bytes."
    )
    head_timeout_s: Seconds = Field(
        10, description="Seconds in which the head of a request must have come."
    )
    body_timeout_s: Seconds = Field(
        30, description="Seconds in which a request's body, or 64 KiB more of it, must have come."
    )
    unread_timeout_s: Seconds = Field(
        60, description="Seconds after which a client that reads nothing of its answer is cut off."
    )
    max_connections: int = Field(
        4_096, ge=1, description="Connections of clients at once; more are refused with a 503."
    )
    drain_timeout_s: Seconds = Field(
        30, description="On SIGTERM, seconds that running requests have to end."
    )
    queue_timeout_s: Seconds = Field(
        30,
        description="Seconds a request may wait for a replica that is starting, "
        "when nobody else may serve it.",
    )
    retry_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of requests that may be tried again after an engine got and failed "
        "them; ten may be at once.",
    )
    breaker_failures: int = Field(
        5, ge=1, description="Failures in a row after which a replica is left alone."
    )
    breaker_open_s: Seconds = Field(
        10, description="Seconds for which it is left alone; then one request tries it."
    )


class ModelSection(Section):
    """An entry of `models:`: a name that clients may ask for."""

    engine: OneOrMore = Field(description="Which engine serves it; several are all used.")
    weights: str | None = Field(
        None,
        description="A GGUF file (relative to this file) or `demo:qwen|coder|llama`; "
        "managed engines only.",
    )
    upstream_model: str | None = Field(
        None, description="The name that a remote engine knows; answers carry ours."
    )
    aliases: tuple[str, ...] = Field((), description="Other names that mean this model.")
    replicas: int = Field(1, ge=1, le=64, description="Processes to run; managed engines only.")
    context: int | None = Field(None, ge=64, description="Context in tokens; overrides the engine.")
    parallel: int | None = Field(None, ge=1, le=256, description="Overrides the engine's.")
    threads: int | None = Field(None, ge=1, description="Overrides the engine's.")
    max_concurrent: int | None = Field(
        None,
        ge=1,
        description="Requests that run at once, over all replicas; more wait in the gateway, where "
        "no other model of the rule has room. Without it engines get all of them at once.",
    )
    max_queued: int | None = Field(
        None,
        ge=0,
        description="Requests that may wait for `max_concurrent`, 1,024 when absent; more are "
        "refused, as are those that could not begin within `first_byte_timeout_s`.",
    )
    connect_timeout_s: Seconds | None = Field(
        None, description="Seconds to connect; overrides the engine's, as do the next three."
    )
    first_byte_timeout_s: Seconds | None = Field(
        None,
        description="Seconds until an answer begins (the engine's queue and prefill included).",
    )
    idle_timeout_s: Seconds | None = Field(
        None, description="Seconds between two events of a stream; comments are no sign of life."
    )
    total_timeout_s: Seconds | None = Field(
        None, description="Seconds from a request's arrival to the end of its answer."
    )
    adapter_of: str | None = Field(
        None,
        description="The model that this LoRA adapter is served beside, by the same processes; "
        "`weights` is then the adapter's own GGUF file. Managed engines only.",
    )
    adapter_scale: float = Field(
        1.0, allow_inf_nan=False, description="How strongly an adapter counts; 0 is not at all."
    )
    on_break: Literal["continue", "fail"] = Field(
        "continue",
        description="What becomes of a stream whose engine breaks in the middle: another replica "
        "goes on with it, or it ends with an error event.",
    )
    continue_wait_s: Seconds = Field(
        30,
        description="Seconds that a broken stream may wait for a replica that is starting again.",
    )
    catalogue: str | None = Field(
        None, description="Catalogue entry with the family's facts, where the name does not say it."
    )
    languages: tuple[str, ...] = Field(
        (), description="Languages it officially speaks; the catalogue says it when absent."
    )
    strengths: tuple[Strength, ...] = Field(
        (), description="What it was made for; the catalogue says it when absent."
    )
    embeddings: bool | None = Field(
        None, description="Whether it makes embeddings; the weights say it when absent."
    )
    reranks: bool | None = Field(
        None,
        description="Whether it has a head that ranks documents; the weights say it when absent. "
        "Where no model has one, likeness of embeddings ranks.",
    )
    pooling: Pooling | None = Field(
        None,
        description="How a text's tokens become one vector (`mean`, `cls`, `last`) or a rank "
        "(`rank`); the weights say it when absent, and else `mean`. Managed engines only.",
    )


class NotClause(Section):
    """`{not: ...}`: matches when none of the values does."""

    not_: OneOrMore = Field(alias="not", description="A value or a list of values.")


class RangeClause(Section):
    """`{min: ..., max: ...}`: both ends belong to the range."""

    min: int | None = Field(None, ge=0, description="Least value that matches.")
    max: int | None = Field(None, ge=0, description="Greatest value that matches.")


class ShareClause(Section):
    """`{min: ..., max: ...}` of what goes from 0 to 1: both ends belong to the range."""

    min: float | None = Field(None, ge=0, le=1, description="Least value that matches.")
    max: float | None = Field(None, ge=0, le=1, description="Greatest value that matches.")


Words: TypeAlias = OneOrMore | NotClause


def words_of(clause: Words) -> tuple[str, ...]:
    """Return the words of a condition, those of `not:` too."""
    return several(clause.not_ if isinstance(clause, NotClause) else clause)


class WhenSection(Section):
    """A rule's `when:`: all given conditions must hold; `undecided` matches only itself."""

    task: Words | None = Field(
        None,
        description="What is to be done: code, math, reasoning, translation, summarization, "
        "extraction, writing, general, tool_use, vision, audio, embedding, rerank or undecided.",
    )
    language: Words | None = Field(
        None, description="Language the answer should be in (ISO 639-1), or undecided."
    )
    prompt_language: Words | None = Field(
        None, description="Language most of the prompt is written in, or undecided."
    )
    request_size: Words | None = Field(None, description="small, medium or large.")
    prompt_tokens: RangeClause | None = Field(None, description="Estimated prompt tokens.")
    difficulty: ShareClause | None = Field(
        None,
        description="How hard the request looks, 0 to 1: the share of ordinary requests that look "
        "easier. A weak sign; `weighbridge route calibrate` finds the value for your models.",
    )
    variant: Words | None = Field(None, description="The part after `auto:` in the asked name.")
    tools: bool | None = Field(None, description="Whether the request carries tools.")
    images: bool | None = Field(None, description="Whether the request carries images.")
    json_schema: bool | None = Field(None, description="Whether the request wants JSON back.")
    header: dict[str, str] | None = Field(
        None, description="Request headers and the values they must have."
    )


class LicenceClause(Section):
    """A rule's `require: {licence: ...}`: which licences a chosen model may have."""

    classes: tuple[Literal["open", "conditional", "research", "unknown"], ...] | None = Field(
        None, description="Licence classes that will do."
    )
    spdx: tuple[str, ...] | None = Field(None, description="SPDX identifiers that will do.")
    commercial: bool | None = Field(None, description="Whether commercial use must be allowed.")
    region: str | None = Field(None, description="A region where use must be allowed (`EU`).")
    monthly_users: int | None = Field(
        None, ge=0, description="Monthly active users the licence must allow."
    )


class RequireSection(Section):
    """A rule's `require:`: constraints that filter the models of `use`."""

    family: OneOrMore | None = Field(None, description="Catalogue families that will do.")
    parameters: RangeClause | None = Field(None, description="Total parameters (a count).")
    model_class: tuple[Literal["tiny", "small", "medium", "large"], ...] | None = Field(
        None,
        description="Classes of size that will do, by (active) parameters: tiny below 2 billion, "
        "small below 10, medium below 40, large.",
    )
    context: int | None = Field(None, ge=1, description="Least context in tokens.")
    licence: LicenceClause | None = Field(None, description="Licences that will do.")


class RouteSection(Section):
    """An entry of `routes:`: for requests to `auto`, the first rule that matches wins."""

    name: str = Field(min_length=1, max_length=64, description="Shown in headers and explanations.")
    when: WhenSection | None = Field(None, description="Conditions; absent matches everything.")
    require: RequireSection | None = Field(None, description="Constraints on the models.")
    use: Use = Field(
        description="Models or their aliases in order of preference; `{any: [...]}` to let scores "
        "decide, `{split: {...}}` for shares."
    )
    shadow: ShadowSection | None = Field(None, description="Who gets a copy of the requests.")


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
        0.35,
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


class RoutingFile(Section):
    """The whole of `routing.yaml`."""

    mode: Literal["route", "observe"] = Field(
        "route",
        description="`observe` also notes whom the rules would have asked where a model was named.",
    )
    gateway: GatewaySection = Field(default_factory=GatewaySection, description="The front door.")
    engines: dict[str, EngineSection] = Field(
        min_length=1, description="How each kind of engine is run or reached."
    )
    models: dict[str, ModelSection] = Field(min_length=1, description="What is served.")
    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="More names that clients may ask for; each means a model, another alias, "
        "`auto` or a variant of it (`auto:small`).",
    )
    routes: tuple[RouteSection, ...] = Field(
        (), description="Rules for requests to `auto`, first match wins."
    )
    observe: ObserveSection = Field(
        default_factory=ObserveSection, description="Where `mode: observe` writes."
    )
    scores: ScoreSection = Field(
        default_factory=ScoreSection, description="What counts where scores decide."
    )
    sizes: SizeSection = Field(
        default_factory=SizeSection, description="What small and large mean."
    )
    languages: LanguageSection = Field(
        default_factory=LanguageSection, description="How sure weighing must be of a language."
    )
    tasks: TaskSection = Field(
        default_factory=TaskSection, description="How sure weighing must be of a task."
    )
