"""The gateway's nouns: frozen values that pass between its rooms.

Owns: features of a request, decisions, served models, outcomes and their reasons.
Must not: decide or do anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

UNDECIDED = "undecided"
# Classes of models by size, and the active parameters below which each but the last ends.
MODEL_CLASSES = ("tiny", "small", "medium", "large")
_CLASS_ENDS = (2_000_000_000, 10_000_000_000, 40_000_000_000)


class Endpoint(StrEnum):
    """What a client can ask a model for."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RERANK = "rerank"
    SCORE = "score"


class Outcome(StrEnum):
    """How a relayed request ended; a closed label set."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    ENGINE_ERROR = "engine_error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    HEDGED = "hedged"


class Hedged(StrEnum):
    """What became of a request that was sent to a second replica too; a closed label set."""

    WON = "won"
    LOST = "lost"


class Refusal(StrEnum):
    """Why a request that had to wait for a model was refused; a closed label set."""

    FULL = "full"
    LATE = "late"
    DISPLACED = "displaced"
    EXPIRED = "expired"


class Fallback(StrEnum):
    """Why another model answered than the one that came first; a closed label set."""

    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    CONTEXT = "context"


class Reason(msgspec.Struct, frozen=True):
    """A sentence for people, put together when somebody reads it: `str()` does.

    Few look into a decision, and its words would cost more than the decision itself.
    """

    put: Callable[..., str]
    of: tuple[Any, ...] = ()

    def __str__(self) -> str:
        """Return the sentence."""
        return self.put(*self.of)


Why: TypeAlias = str | Reason


class Bulk(msgspec.Struct, frozen=True):
    """What a prompt is made of, from which its tokens are estimated for any model.

    `signs` are counts by kind of sign (`gateway.classify.counting`), () where there is no text;
    `turns` those of a chat, 0 for a bare text; `ids` tokens that came as ids. `one_prompt`: all of
    it is read at once; of several prompts each has a context of its own, and some may be cut.
    """

    signs: tuple[float, ...] = ()
    turns: int = 0
    images: int = 0
    tools: bool = False
    ids: int = 0
    one_prompt: bool = True


class Estimate(msgspec.Struct, frozen=True):
    """Tokens of a prompt, and how far off that may be: 0 where they were counted."""

    tokens: int
    error: int = 0

    @property
    def least(self) -> int:
        """The fewest that it may be."""
        return max(0, self.tokens - self.error)

    @property
    def most(self) -> int:
        """The most that it may be."""
        return self.tokens + self.error


class Weighed(msgspec.Struct, frozen=True):
    """What weighing found out, each with the reason a person can read.

    `language` is the one the answer should be in, `prompt_language` the one most of the prompt is
    written in: ISO 639-1 codes or `undecided`. `prompt_tokens` is an estimate, off by
    `prompt_tokens_error` at most in 95% of cases; `difficulty` is 0 to 1, and 0.5 where nothing
    tells. Each confidence says how sure it is of its value, 0 to 1.
    `likely_task` is the best guess also where `task` is `undecided`, sure by `task_confidence`.
    `whys` has the reason of each feature, by its name.
    """

    task: str
    language: str
    prompt_language: str
    request_size: str
    prompt_tokens: int
    answer_tokens: int | None
    tools: bool = False
    images: bool = False
    json_schema: bool = False
    difficulty: float = 0.5
    task_confidence: float = 0.0
    language_confidence: float = 0.0
    prompt_language_confidence: float = 0.0
    request_size_confidence: float = 0.0
    difficulty_confidence: float = 0.0
    prompt_tokens_error: int = 0
    bulk: Bulk = Bulk()
    likely_task: str = UNDECIDED
    whys: Mapping[str, Why] = msgspec.field(default_factory=dict)

    @property
    def reasons(self) -> tuple[str, ...]:
        """A sentence for each feature: what it is, and why."""
        told = self.whys.items()
        return tuple(f"{name} is {getattr(self, name)}: {why}" for name, why in told)


class Constraint(msgspec.Struct, frozen=True):
    """One demand of a request on whichever model serves it, and `where` the request makes it.

    `kind` is licence, family, max_parameters or min_context; the first two have lower-case `words`
    of which one must fit, the others a `count`.
    """

    where: str
    kind: str
    words: tuple[str, ...] = ()
    count: int = 0


class Asked(msgspec.Struct, frozen=True):
    """What the client asked for by name: the model as written and the headers rules may match.

    A model that does not meet all `constraints` is not asked. `seen` says of models what share of
    the prompt, from its beginning, they have read before; `takes` how many tokens the prompt has
    for each: a model that is not there has room for it. `user` and `conversation` mark what may
    have to stay with one model; `chance` is a number from 0 to 1 that was drawn for this request.
    """

    model: str | None
    endpoint: Endpoint
    headers: tuple[tuple[str, str], ...] = ()
    constraints: tuple[Constraint, ...] = ()
    seen: Mapping[str, float] = msgspec.field(default_factory=dict)
    user: str | None = None
    conversation: str | None = None
    chance: float = 0.0
    takes: Mapping[str, Estimate] = msgspec.field(default_factory=dict)


class ModelScore(msgspec.Struct, frozen=True):
    """How well a model suits a request: the weighted mean, and each criterion, all 0 to 1."""

    model: str
    total: float
    parts: tuple[tuple[str, float], ...]


class Choice(msgspec.Struct, frozen=True):
    """Selection's answer: which models may serve, in order of preference, and why.

    `rule` is the route's name, or `name` / `alias` when the client chose the model itself.
    `scores`, the best first, are those of the models that were scored; a model may be left out or
    put behind all the same, and `reasons` say so. `shadow` is a model that gets a copy.
    """

    models: tuple[str, ...]
    rule: str
    whys: tuple[Why, ...] = ()
    scores: tuple[ModelScore, ...] = ()
    shadow: str | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """How it came to these models and this order, a sentence each."""
        return tuple(map(str, self.whys))


@dataclass(frozen=True, slots=True)
class LicenceTerms:
    """What a licence allows, as far as rules ask; None is unknown and meets no requirement.

    `licence_class` is open, conditional, research or unknown. `monthly_users` is the most that are
    allowed, `no_limit` says that there is no such condition. `excluded_regions` are those where
    use is not allowed (`EU`).
    """

    licence_class: str = "unknown"
    spdx: str | None = None
    commercial: bool | None = None
    excluded_regions: tuple[str, ...] | None = None
    monthly_users: int | None = None
    no_limit: bool = False


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a served model; None is unknown, which is never taken for no.

    `parameters` and `active_parameters` are counts (active: used for one token, for mixtures of
    experts), `languages` the official ones (ISO 639-1). `generates` is about text, `reranks` about
    a head that says how well a document answers a query. `strengths` are the catalogue's words
    (`code`, `multilingual`).
    """

    family: str | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    context_tokens: int | None = None
    licence: LicenceTerms | None = None
    languages: tuple[str, ...] = ()
    strengths: tuple[str, ...] = ()
    generates: bool | None = None
    embeddings: bool | None = None
    reranks: bool | None = None
    vision: bool | None = None
    tools: bool | None = None

    @property
    def model_class(self) -> str | None:
        """tiny, small, medium or large by its active parameters; None where nobody knows them."""
        active = self.active_parameters or self.parameters
        if not active:
            return None
        return MODEL_CLASSES[sum(active >= end for end in _CLASS_ENDS)]


class ModelStatus(msgspec.Struct, frozen=True):
    """How a served model is doing now.

    `capacity` is how many requests it runs at once over all its replicas, None when unknown;
    `reason` says why it is not available. `ready_in_s` is about how soon it serves: 0 when it
    does, None when nobody knows that it ever will.
    """

    available: bool = True
    in_flight: int = 0
    capacity: int | None = None
    reason: str = ""
    ready_in_s: float | None = 0.0
