"""The shape of `routing.yaml`: frozen, extras forbidden, each key described once, here.

Owns: keys, types, ranges, defaults. The sections of `engines:` stand with their kinds in
`engines.kinds`, those of rules in `gateway.config.conditions` and `gateway.config.choosing`, those
of sizes, languages and tasks in `gateway.config.weighing`. The descriptions are the config
reference (docs).
Must not: read files or the environment (`gateway.config.loading` does), or compare entries with
each other (`gateway.config.checks` does).
"""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from engines.families import Strength
from engines.kinds import EngineSection
from engines.kinds.section import OneOrMore, Seconds, Section
from engines.weights import Pooling
from gateway.config.choosing import ObserveSection, ScoreSection
from gateway.config.conditions import RouteSection
from gateway.config.door import host_problem, origin_problem
from gateway.config.residing import ResidencySection, Size
from gateway.config.weighing import LanguageSection, SizeSection, TaskSection


class GatewaySection(Section):
    """`gateway:` how the front door behaves."""

    host: str = Field("127.0.0.1", description="Address to bind; without a key, loopback only.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to bind; 0 picks a free one.")
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Host names, without a port, that clients may use besides loopback names and "
        "`host`; beyond loopback without a key, besides IP addresses too.",
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="Web origins (`https://chat.example`) whose pages may call the gateway."
    )
    body_limit_bytes: int = Field(
        32 * 1024 * 1024, gt=0, description="Largest request body, in bytes."
    )
    head_timeout_s: Seconds = Field(
        10, description="Seconds within which a request's headers must arrive."
    )
    body_timeout_s: Seconds = Field(
        30,
        description="Seconds within which a request's body, or the next 64 KiB of it, must arrive.",
    )
    unread_timeout_s: Seconds = Field(
        60,
        description="Seconds within which a client must read its answer, or the next 64 KiB of it.",
    )
    max_connections: int = Field(
        4_096,
        ge=1,
        description="Open client connections over all workers; further ones get a 503.",
    )
    drain_timeout_s: Seconds = Field(
        30, description="Seconds that running requests have to finish after SIGTERM."
    )
    queue_timeout_s: Seconds = Field(
        30,
        description="Seconds that a request may wait for a replica that is starting, if no other "
        "can serve it.",
    )
    prefix_affinity: bool = Field(
        True,
        description="Whether a request goes to the replica that has its prompt's beginning in its "
        "cache, until that is busier by more tokens than prefilling it again would cost.",
    )
    retry_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of requests that may be retried after an engine received and failed "
        "them; a burst of ten is allowed.",
    )
    breaker_failures: int = Field(
        5, ge=1, description="Consecutive failures after which a replica is taken out of rotation."
    )
    breaker_open_s: Seconds = Field(
        10, description="Seconds for which it stays out; then one request tries it."
    )

    @field_validator("allowed_hosts", "allowed_origins")
    @classmethod
    def _each_can_be_sent(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        problem = host_problem if info.field_name == "allowed_hosts" else origin_problem
        for why in filter(None, map(problem, given)):
            raise ValueError(why)
        return given


class HedgeSection(Section):
    """A model's `hedge:`: whichever replica has the first byte answers, the other is cut off."""

    after_percentile: float = Field(
        95,
        ge=50,
        lt=100,
        description="A request is late when this percentage of its model's last 256 requests "
        "(streams and whole answers apart; at least 20) had their first byte sooner.",
    )
    share: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Largest share of the model's requests that may be sent twice.",
    )
    least_s: Seconds = Field(0.05, description="Seconds before which no request is late.")


class ModelSection(Section):
    """An entry of `models:`: a name that clients may ask for."""

    engine: OneOrMore = Field(description="The engine that serves it; of several, all are used.")
    weights: str | None = Field(
        None,
        description="A GGUF file or a folder (relative to this file), `OWNER/REPO:QUANTISATION` "
        "on a model hub, an https URL with `#sha256=`, or `demo:qwen|coder|llama`; for vLLM a "
        "folder with a config.json or `OWNER/NAME` on a hub. Managed engines only.",
    )
    mmproj: str | None = Field(
        None,
        description="The projector with which the model accepts images: a GGUF file (relative to "
        "this file), `OWNER/REPO:mmproj-F16` on a model hub, or an https URL with `#sha256=`. "
        "`kind: llamacpp` only.",
    )
    upstream_model: str | None = Field(
        None, description="The model's name on the remote engine; answers carry ours."
    )
    aliases: tuple[str, ...] = Field((), description="Other names for this model.")
    replicas: int = Field(1, ge=1, le=64, description="Processes to run; managed engines only.")
    context: int | None = Field(
        None, ge=64, description="Context in tokens; overrides the engine's."
    )
    parallel: int | None = Field(None, ge=1, le=256, description="Overrides the engine's.")
    threads: int | None = Field(None, ge=1, description="Overrides the engine's.")
    max_concurrent: int | None = Field(
        None,
        ge=1,
        description="Requests that run at once, over all replicas; more wait in the gateway if no "
        "other model of the rule has room. Without it engines get all of them at once.",
    )
    max_queued: int | None = Field(
        None,
        ge=0,
        description="Requests that may wait for `max_concurrent`, by default 1,024; more are "
        "refused, as are those that could not start within `first_byte_timeout_s`.",
    )
    connect_timeout_s: Seconds | None = Field(
        None, description="Seconds to connect; overrides the engine's, as do the next three."
    )
    first_byte_timeout_s: Seconds | None = Field(
        None,
        description="Seconds until an answer begins, including queueing and prefill in the engine.",
    )
    idle_timeout_s: Seconds | None = Field(
        None, description="Seconds between two events of a stream; comments do not count as events."
    )
    total_timeout_s: Seconds | None = Field(
        None, description="Seconds from a request's arrival to the end of its answer."
    )
    adapter_of: str | None = Field(
        None,
        description="The base model of this LoRA adapter, whose processes serve it; `weights` is "
        "then the adapter's own GGUF file, for vLLM its folder. Managed engines only.",
    )
    adapter_scale: float = Field(
        1.0, allow_inf_nan=False, description="Scale of the adapter; 0 switches it off."
    )
    on_break: Literal["continue", "fail"] = Field(
        "continue",
        description="What happens when a stream's engine fails in the middle: another replica "
        "continues it, or it ends with an error event.",
    )
    continue_wait_s: Seconds = Field(
        30,
        description="Seconds that a broken stream may wait for a replica that is restarting.",
    )
    hedge: HedgeSection | None = Field(
        None,
        description="Whether a late request is sent to a second replica as well; off when absent.",
    )
    catalogue: str | None = Field(
        None, description="The catalogue entry that describes it, where its name does not tell."
    )
    languages: tuple[str, ...] = Field(
        (), description="Languages it officially supports; from the catalogue when absent."
    )
    strengths: tuple[Strength, ...] = Field(
        (), description="Tasks it was made for; from the catalogue when absent."
    )
    load: Literal["start", "demand"] | None = Field(
        None,
        description="When to load it: at `start`, or on the first request. By default at start, "
        "or on demand if not all models fit into `residency.memory`. Either way it is unloaded "
        "when idle and its room is needed. Managed engines only, as are the next five.",
    )
    pin: bool = Field(
        default=False, description="Never unload it once it is loaded; its memory stays reserved."
    )
    keep_alive_s: Seconds | None = Field(
        None,
        description="Seconds after its last request when it is unloaded; without it, it stays "
        "until its room is needed.",
    )
    min_resident_s: float = Field(
        0,
        ge=0,
        le=86_400,
        description="Seconds that it stays after a load although others need its room, unless a "
        "request has waited for `residency.swap_bound_s`.",
    )
    memory: Size | None = Field(
        None, description="Memory that it takes per replica; estimated when absent."
    )
    warm_up: str | None = Field(
        None,
        min_length=1,
        description="A prompt that it answers after each load, before its first request, so that "
        "a common system prompt is already in its cache.",
    )
    embeddings: bool | None = Field(
        None, description="Whether it makes embeddings; from the weights when absent."
    )
    reranks: bool | None = Field(
        None,
        description="Whether it has a reranking head; from the weights when absent. If no model "
        "has one, documents are ranked by the similarity of embeddings.",
    )
    pooling: Pooling | None = Field(
        None,
        description="How the tokens of a text become one vector (`mean`, `cls`, `last`) or a rank "
        "(`rank`); from the weights when absent, else `mean`. Managed engines only.",
    )


class RoutingFile(Section):
    """The whole of `routing.yaml`."""

    mode: Literal["route", "observe"] = Field(
        "route",
        description="`observe` also records which model the rules would have chosen for requests "
        "that name one.",
    )
    gateway: GatewaySection = Field(
        default_factory=GatewaySection, description="How the gateway listens, and what it accepts."
    )
    engines: dict[str, EngineSection] = Field(
        min_length=1, description="How each kind of engine is run or reached."
    )
    models: dict[str, ModelSection] = Field(min_length=1, description="What is served.")
    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="More names that clients may ask for: each stands for a model, another alias, "
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
        default_factory=ScoreSection, description="Weights of the criteria where scores decide."
    )
    sizes: SizeSection = Field(
        default_factory=SizeSection, description="What small and large mean."
    )
    languages: LanguageSection = Field(
        default_factory=LanguageSection, description="How certain language detection must be."
    )
    tasks: TaskSection = Field(
        default_factory=TaskSection, description="How certain task classification must be."
    )
