"""Four models, and what is chosen of them."""

from typing import Any

from gateway.config.schema import RoutingFile
from gateway.domain import Asked, Choice, Endpoint, Estimate, ModelFacts, ModelStatus, Weighed
from gateway.selection import Selector

MODELS = ("tiny", "big", "coder", "embedder")
FACTS = {
    "tiny": ModelFacts(family="qwen2.5", parameters=500, context_tokens=1_000, embeddings=False),
    "big": ModelFacts(
        family="llama", parameters=70_000, active_parameters=70_000, context_tokens=100_000
    ),
    "coder": ModelFacts(
        family="qwen2.5", parameters=30_000, active_parameters=300, context_tokens=8_000
    ),
    "embedder": ModelFacts(family="bge", parameters=100, context_tokens=500, embeddings=True),
}
DOWN = ModelStatus(available=False, reason="it is restarting")


def file_of(
    routes: list[dict[str, Any]], aliases: dict[str, list[str]] | None = None
) -> RoutingFile:
    return RoutingFile.model_validate(
        {
            "engines": {"e": {"kind": "remote", "url": "http://127.0.0.1:1/v1"}},
            "models": {
                name: {"engine": "e", "aliases": (aliases or {}).get(name, [])} for name in MODELS
            },
            "routes": routes,
        }
    )


def weighed(**changes: Any) -> Weighed:
    values: dict[str, Any] = {
        "task": "general",
        "language": "en",
        "prompt_language": "en",
        "request_size": "small",
        "prompt_tokens": 10,
        "answer_tokens": None,
    }
    return Weighed(**{**values, **changes})


def choose(
    routes: list[dict[str, Any]],
    model: str | None = None,
    *,
    what: Weighed | None = None,
    status: dict[str, ModelStatus] | None = None,
    endpoint: Endpoint = Endpoint.CHAT,
    facts: dict[str, ModelFacts] | None = None,
    aliases: dict[str, list[str]] | None = None,
    takes: dict[str, Estimate] | None = None,
) -> Choice:
    selector = Selector(file_of(routes, aliases), FACTS if facts is None else facts)
    return selector.choose(
        Asked(model, endpoint, takes=takes or {}), what or weighed(), status or {}
    )


ALL: dict[str, Any] = {"name": "all", "use": list(MODELS)}
