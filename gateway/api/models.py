"""`/v1/models`: what clients may ask for, and how each is doing.

Owns: the rows. Must not: know a fact; the catalogue and the fleet do.
"""

from typing import Any

from gateway.domain import LicenceTerms, ModelFacts
from gateway.errors import ModelNotFound
from gateway.fleet import Condition, ReplicaView
from gateway.parts import Gateway, engines_of

_UNKNOWN = ModelFacts()
# The best condition of its replicas is a model's.
_ORDER = tuple(condition.value for condition in Condition)


def list_models(gateway: Gateway) -> dict[str, Any]:
    """Return OpenAI's list: models, aliases, `auto` and its variants, each with fields of ours."""
    return {"object": "list", "data": [_row(gateway, name) for name in gateway.selector.names]}


def one_model(gateway: Gateway, name: str) -> dict[str, Any]:
    """Return one row of the list.

    Raises:
        ModelNotFound: no model, alias or variant has this name.
    """
    if name not in gateway.selector.names:
        gateway.selector.meaning(name)
        raise ModelNotFound(name)
    return _row(gateway, name)


def readiness(gateway: Gateway) -> dict[str, Any]:
    """Return every model's state and replicas; `status` is `ready` when any model serves."""
    models = {name: _state(gateway, name) for name in gateway.config.file.models}
    ready = any(state["state"] == Condition.READY for state in models.values())
    return {"status": "ready" if ready else "not_ready", "models": models}


def _row(gateway: Gateway, name: str) -> dict[str, Any]:
    meaning = gateway.selector.meaning(name)
    head: dict[str, Any] = {
        "id": name,
        "object": "model",
        "created": gateway.created_s,
        "owned_by": "weighbridge",
    }
    if meaning.model is None:
        auto = name if name.partition(":")[0] == "auto" else None
        target = None if auto else f"auto:{meaning.variant}".rstrip(":")
        return head | {"kind": "auto" if auto else "alias", "alias_of": target}
    kind = "model" if meaning.model == name else "alias"
    facts = gateway.facts.get(meaning.model, _UNKNOWN)
    return (
        head
        | {"kind": kind, "alias_of": meaning.model if kind == "alias" else None}
        | {"engines": engines_of(gateway.config.file.models[meaning.model])}
        | _told(facts)
        | _state(gateway, meaning.model)
    )


def _told(facts: ModelFacts) -> dict[str, Any]:
    abilities = {"embeddings": facts.embeddings, "vision": facts.vision}
    return {
        "family": facts.family,
        "parameters": facts.parameters,
        "active_parameters": facts.active_parameters,
        "context": facts.context_tokens,
        # The name under which vLLM's clients look for the same number.
        "max_model_len": facts.context_tokens,
        "licence": _licence(facts.licence),
        "languages": facts.languages,
        "capabilities": [name for name, has in abilities.items() if has],
    }


def _licence(terms: LicenceTerms | None) -> dict[str, Any] | None:
    if terms is None:
        return None
    return {
        "class": terms.licence_class,
        "spdx": terms.spdx,
        "commercial": terms.commercial,
        "monthly_users": terms.monthly_users,
        "excluded_regions": terms.excluded_regions,
    }


def _state(gateway: Gateway, model: str) -> dict[str, Any]:
    views = gateway.fleet.views(model)
    best = min(views, key=_rank, default=None)
    return {
        "state": best.state if best else Condition.DOWN.value,
        "reason": best.reason if best else "",
        "replicas": [
            {
                "engine": view.engine,
                "replica": view.replica,
                "state": view.state,
                "reason": view.reason,
                "restarts": view.restarts,
                "in_flight": view.in_flight,
            }
            for view in views
        ],
    }


def _rank(view: ReplicaView) -> int:
    return -1 if view.state == Condition.READY else _ORDER.index(view.state)
