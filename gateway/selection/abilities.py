"""Which models can do what an endpoint asks for, and what people are told where none can.

Owns: what a fact means for an endpoint. What is not known is tried rather than refused.
Must not: know rules, names or load.
"""

from collections.abc import Mapping, Sequence

from gateway.domain import Endpoint, ModelFacts

_UNKNOWN = ModelFacts()
# How well a model suits an endpoint, the least the best.
_SURELY, _BY_LIKENESS, _PERHAPS = range(3)
_RANKING = (Endpoint.RERANK, Endpoint.SCORE)
_DOES_NOT = {
    Endpoint.CHAT: "generates no text",
    Endpoint.COMPLETIONS: "generates no text",
    Endpoint.EMBEDDINGS: "makes no embeddings",
    Endpoint.RERANK: "ranks nothing",
    Endpoint.SCORE: "ranks nothing",
}
_DOES = {
    Endpoint.CHAT: "generates text",
    Endpoint.COMPLETIONS: "generates text",
    Endpoint.EMBEDDINGS: "makes embeddings",
    Endpoint.RERANK: "ranks or makes embeddings",
    Endpoint.SCORE: "ranks or makes embeddings",
}
_KEYS = {
    Endpoint.EMBEDDINGS: "`embeddings: true`",
    Endpoint.RERANK: "`reranks: true` or `embeddings: true`",
    Endpoint.SCORE: "`reranks: true` or `embeddings: true`",
}


def is_unable(facts: ModelFacts, endpoint: Endpoint) -> bool:
    """Say whether a model is known not to do what the endpoint asks for."""
    return _fit(facts, endpoint) is None


def able_ones(
    names: Sequence[str], endpoint: Endpoint, facts: Mapping[str, ModelFacts]
) -> tuple[str, ...]:
    """Return the models that suit the endpoint best, in the order given.

    Embeddings: those that make them, else those of which it is not known. Ranks and scores: those
    with a head for it, else those that make embeddings, whose likeness ranks too, else those of
    which it is not known. Text: all but those that are known to generate none.
    """
    fits = [_fit(facts.get(name, _UNKNOWN), endpoint) for name in names]
    best = min([fit for fit in fits if fit is not None], default=None)
    found = zip(names, fits, strict=True)
    return tuple([name for name, fit in found if fit is not None and fit == best])


def why_unable(endpoint: Endpoint) -> str:
    """Return what is said of a model that is left out."""
    return f"it {_DOES_NOT[endpoint]}"


def refusal(
    endpoint: Endpoint, model: str | None, names: Sequence[str], facts: Mapping[str, ModelFacts]
) -> str:
    """Return what a client is told of a model, or of all where `model` is None."""
    who = "No model here" if model is None else f"The model '{model}'"
    what = _DOES[endpoint] if model is None else _DOES_NOT[endpoint]
    fits = {name: _fit(facts.get(name, _UNKNOWN), endpoint) for name in names}
    known = [name for name, fit in fits.items() if fit in (_SURELY, _BY_LIKENESS)]
    if known:
        return f"{who} {what}. Ask one that does: {', '.join(known)}."
    key = f" ({_KEYS[endpoint]} under its entry in `models:`)" if endpoint in _KEYS else ""
    return f"{who} {what}. Configure one that does{key}."


def _fit(facts: ModelFacts, endpoint: Endpoint) -> int | None:
    """Return how well a model suits, None where it is known not to."""
    if endpoint is Endpoint.EMBEDDINGS:
        return {True: _SURELY, None: _PERHAPS, False: None}[facts.embeddings]
    if endpoint in _RANKING:
        if facts.reranks:
            return _SURELY
        if facts.embeddings:
            return _BY_LIKENESS
        return _PERHAPS if None in (facts.reranks, facts.embeddings) else None
    return None if facts.generates is False else _SURELY
