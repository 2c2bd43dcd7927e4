"""The shape of `routing.yaml`: frozen, extras forbidden, each key described once, here.

Owns: keys, types, ranges, defaults. The sections of `engines:` stand with their kinds in
`engines.kinds`, those of rules in `gateway.config.conditions` and `gateway.config.choosing`, those
of sizes, languages and tasks in `gateway.config.weighing`. The descriptions are the config
reference (docs).
Must not: read files or the environment (`gateway.config.loading` does), or compare entries with
each other (`gateway.config.checks` does).
"""

from typing import Literal

from pydantic import Field

from engines.families import Strength
from engines.kinds import EngineSection
from engines.kinds.section import OneOrMore, Seconds, Section
from engines.weights import Pooling
from gateway.config.choosing import ObserveSection, ScoreSection
from gateway.config.conditions import RouteSection
from gateway.config.residing import ResidencySection, Size
from gateway.config.weighing import LanguageSection, SizeSection, TaskSection


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
        4_096,
        ge=1,
        description="Connections of clients at once, to all workers; more are refused with a 503.",
    )
    drain_timeout_s: Seconds = Field(
        30, description="On SIGTERM, seconds that running requests have to end."
    )
    queue_timeout_s: Seconds = Field(
        30,
        description="Seconds a request may wait for a replica that is starting, "
        "when nobody else may serve it.",
    )
    prefix_affinity: bool = Field(
        True,
        description="Whether a request goes to the replica that has read its beginning, until that "
        "is busier by more tokens than reading it again would cost.",
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


class HedgeSection(Section):
    """A model's `hedge:`: whichever replica has the first byte answers, the other is cut off."""

    after_percentile: float = Field(
        95,
        ge=50,
        lt=100,
        description="A request is late when of its model's last 256 (streams and whole answers by "
        "themselves; 20 at least) so many percent had their first byte sooner.",
    )
    share: float = Field(
        0.05, gt=0, le=1, description="Share of the model's requests that may be sent twice."
    )
    least_s: Seconds = Field(0.05, description="Seconds before which none is late.")


class ModelSection(Section):
    """An entry of `models:`: a name that clients may ask for."""

    engine: OneOrMore = Field(description="Which engine serves it; several are all used.")
    weights: str | None = Field(
        None,
        description="A GGUF file or a folder (relative to this file), `OWNER/REPO:QUANTISATION` "
        "of a model hub, an https URL with `#sha256=`, or `demo:qwen|coder|llama`; for vLLM a "
        "folder with a config.json or a hub's OWNER/NAME. Managed engines only.",
    )
    mmproj: str | None = Field(
        None,
        description="The projector, with which the model takes images: a GGUF file (relative to "
        "this file), `OWNER/REPO:mmproj-F16` of a model hub, or an https URL with `#sha256=`. "
        "`kind: llamacpp` only.",
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
        "`weights` is then the adapter's own GGUF file, for vLLM its folder. Managed engines only.",
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
    hedge: HedgeSection | None = Field(
        None,
        description="Whether a request that is late is sent to a second replica as well; not at "
        "all without it.",
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
    load: Literal["start", "demand"] | None = Field(
        None,
        description="When it is loaded: at `start`, or when the first request asks for it. When "
        "absent at start, or on demand where not all fit into `residency.memory`. Where room is "
        "needed, either leaves when idle. Managed engines only, as are the next five.",
    )
    pin: bool = Field(
        default=False, description="Once loaded it never leaves; its room is nobody else's."
    )
    keep_alive_s: Seconds | None = Field(
        None,
        description="Seconds after its last request when it leaves; without it, it stays until "
        "its room is needed.",
    )
    min_resident_s: float = Field(
        0,
        ge=0,
        le=86_400,
        description="Seconds that it stays after a load though others want its room, but for a "
        "request that has waited for `residency.swap_bound_s`.",
    )
    memory: Size | None = Field(
        None, description="Memory that it takes per replica; estimated when absent."
    )
    warm_up: str | None = Field(
        None,
        min_length=1,
        description="A prompt that it answers after each load, before its first request: a system "
        "prompt that many requests begin with is then read already.",
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
    residency: ResidencySection = Field(
        default_factory=ResidencySection, description="Which models are in memory."
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
