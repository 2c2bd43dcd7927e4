"""`/v1/models` and `/ready`: what clients may ask for, and how each is doing.

Owns: the rows and their shapes. Must not: know a fact; the catalogue and the fleet do.
"""

from typing import Literal

import msgspec

from gateway.domain import LicenceTerms, ModelFacts
from gateway.errors import InvalidRequest, ModelNotFound
from gateway.fleet import Condition, ReplicaView
from gateway.parts import Gateway, Live
from gateway.planning import engines_of

_UNKNOWN = ModelFacts()
# The best condition of its replicas is a model's.
_ORDER = tuple(condition.value for condition in Condition)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's licence allows; null is unknown."""

    licence_class: str = msgspec.field(name="class")
    spdx: str | None
    commercial: bool | None
    monthly_users: int | None
    excluded_regions: tuple[str, ...] | None


class PullRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far weights have come; null is unknown."""

    here_bytes: int
    size_bytes: int | None
    left_s: float | None


class ReplicaRow(msgspec.Struct, frozen=True, kw_only=True):
    """One running instance of a model; `reason` says why it is not ready."""

    engine: str
    replica: str
    state: str
    reason: str
    restarts: int
    in_flight: int


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is doing: the state of its best replica, and each of them."""

    state: str
    reason: str
    replicas: tuple[ReplicaRow, ...]
    pull: PullRow | msgspec.UnsetType = msgspec.UNSET


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A name that clients may ask for; null is unknown. What is chosen by rules has no facts."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["weighbridge"] = "weighbridge"
    kind: Literal["model", "alias", "auto"]
    alias_of: str | None
    # The model that an adapter is served beside, as vLLM tells it.
    parent: str | msgspec.UnsetType = msgspec.UNSET
    engines: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    family: str | msgspec.UnsetType | None = msgspec.UNSET
    parameters: int | msgspec.UnsetType | None = msgspec.UNSET
    active_parameters: int | msgspec.UnsetType | None = msgspec.UNSET
    model_class: str | msgspec.UnsetType | None = msgspec.UNSET
    context: int | msgspec.UnsetType | None = msgspec.UNSET
    # The name under which vLLM's clients look for the same number.
    max_model_len: int | msgspec.UnsetType | None = msgspec.UNSET
    licence: Terms | msgspec.UnsetType | None = msgspec.UNSET
    languages: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    capabilities: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    state: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    replicas: tuple[ReplicaRow, ...] | msgspec.UnsetType = msgspec.UNSET
    pull: PullRow | msgspec.UnsetType = msgspec.UNSET


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that clients may ask for."""

    object: Literal["list"] = "list"
    data: tuple[ModelRow, ...]


class ConfigState(msgspec.Struct, frozen=True, kw_only=True):
    """The file that is served. `current`: as it was last read; else `problems` say why not.

    What `needs_restart` lists has another value in the file than in force.
    """

    source: str
    current: bool
    problems: tuple[str, ...]
    needs_restart: tuple[str, ...]


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether any model serves; how the file and each model are doing for those with the key."""

    status: Literal["ready", "not_ready"]
    config: ConfigState | msgspec.UnsetType = msgspec.UNSET
    models: dict[str, ModelState] | msgspec.UnsetType = msgspec.UNSET


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"] = "ok"


def list_models(gateway: Gateway) -> ModelList:
    """Return OpenAI's list: models, aliases, `auto` and its variants, each with fields of ours."""
    return ModelList(data=tuple(_row(gateway, name) for name in gateway.selector.names))


def one_model(gateway: Gateway, name: str) -> ModelRow:
    """Return one row of the list.

    Raises:
        ModelNotFound: no model, alias or variant has this name.
    """
    if name not in gateway.selector.names:
        gateway.selector.meaning(name)
        raise ModelNotFound(name)
    return _row(gateway, name)


def named_model(gateway: Gateway, name: str) -> str:
    """Return the model that a name means.

    Raises:
        ModelNotFound: it means none.
        InvalidRequest: it means any that rules choose.
    """
    found = gateway.selector.meaning(name).model
    if found is None:
        raise InvalidRequest(
            f"'{name}' is not a model: rules choose one for each request. Name the model itself; "
            "GET /v1/models lists them.",
            param="model",
        )
    return found


def readiness(live: Live) -> Readiness:
    """Return every model's state and replicas; `status` is `ready` when any model serves."""
    gateway = live.gateway
    models = {name: _state(gateway, name) for name in gateway.config.file.models}
    ready = any(status.available for status in gateway.fleet.status().values())
    config = ConfigState(
        source=gateway.config.source,
        current=not live.refused,
        problems=live.refused,
        needs_restart=live.held_back,
    )
    return Readiness(status="ready" if ready else "not_ready", config=config, models=models)


def _row(gateway: Gateway, name: str) -> ModelRow:
    meaning = gateway.selector.meaning(name)
    if meaning.model is None:
        is_auto = name.partition(":")[0] == "auto"
        return ModelRow(
            id=name,
            created=gateway.created_s,
            kind="auto" if is_auto else "alias",
            alias_of=None if is_auto else f"auto:{meaning.variant}".rstrip(":"),
        )
    section = gateway.config.file.models[meaning.model]
    facts = gateway.facts.get(meaning.model, _UNKNOWN)
    state = _state(gateway, meaning.model)
    is_alias = meaning.model != name
    return ModelRow(
        id=name,
        created=gateway.created_s,
        kind="alias" if is_alias else "model",
        alias_of=meaning.model if is_alias else None,
        parent=section.adapter_of or msgspec.UNSET,
        engines=engines_of(section),
        family=facts.family,
        parameters=facts.parameters,
        active_parameters=facts.active_parameters,
        model_class=facts.model_class,
        context=facts.context_tokens,
        max_model_len=facts.context_tokens,
        licence=_terms(facts.licence),
        languages=facts.languages,
        capabilities=_capabilities(facts),
        state=state.state,
        reason=state.reason,
        replicas=state.replicas,
        pull=state.pull,
    )


def _capabilities(facts: ModelFacts) -> tuple[str, ...]:
    abilities = {
        "generation": facts.generates,
        "embeddings": facts.embeddings,
        "reranking": facts.reranks,
        "vision": facts.vision,
    }
    return tuple(name for name, has in abilities.items() if has)


def _terms(terms: LicenceTerms | None) -> Terms | None:
    if terms is None:
        return None
    return Terms(
        licence_class=terms.licence_class,
        spdx=terms.spdx,
        commercial=terms.commercial,
        monthly_users=terms.monthly_users,
        excluded_regions=terms.excluded_regions,
    )


def _state(gateway: Gateway, model: str) -> ModelState:
    views = gateway.fleet.views(model)
    best = min(views, key=_rank, default=None)
    residency = gateway.resident.reception.state_of(model)
    if residency is None:
        residency = (best.state, best.reason) if best else (Condition.DOWN.value, "")
    state, reason = residency
    return ModelState(
        state=state,
        reason=reason,
        replicas=tuple(_replica(view) for view in views),
        pull=_pull(gateway, model),
    )


def _pull(gateway: Gateway, model: str) -> PullRow | msgspec.UnsetType:
    told = gateway.resident.reception.pulled_of(model)
    if told is None:
        return msgspec.UNSET
    here_bytes, size_bytes, left_s = told
    left_s = None if left_s is None else round(left_s, 1)
    return PullRow(here_bytes=here_bytes, size_bytes=size_bytes, left_s=left_s)


def _replica(view: ReplicaView) -> ReplicaRow:
    return ReplicaRow(
        engine=view.engine,
        replica=view.replica,
        state=view.state,
        reason=view.reason,
        restarts=view.restarts,
        in_flight=view.in_flight,
    )


def _rank(view: ReplicaView) -> int:
    return -1 if view.state == Condition.READY else _ORDER.index(view.state)
