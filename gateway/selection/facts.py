"""What selection knows of each configured model: what its sources say, and what its engines allow.

Owns: which source of a fact wins: the file, then the weights, then the catalogue.
Must not: read files or weights; the caller hands over what the weights say.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from engines.kinds.section import several
from gateway.config.schema import ModelSection, RoutingFile
from gateway.domain import ModelFacts

_UNKNOWN = ModelFacts()


class FactSource(Protocol):
    """Where family facts come from: the catalogue, seen through one question."""

    def facts_for(self, name: str) -> ModelFacts | None:
        """Return what is known of a model by a name it goes by, None when nothing is."""


def facts_of(
    file: RoutingFile, weights: Mapping[str, ModelFacts], catalogue: FactSource
) -> dict[str, ModelFacts]:
    """Return the facts of every model in the file, by its name there.

    `weights` has what a model's weights say of themselves; models without readable ones may lack.
    """
    facts: dict[str, ModelFacts] = {}
    for name, model in file.models.items():
        if model.adapter_of is not None:
            continue
        known = merged(weights.get(name, _UNKNOWN), _from_catalogue(name, model, catalogue))
        facts[name] = _facts(model, file, known)
    for name, model in file.models.items():
        if model.adapter_of is not None:
            own = catalogue.facts_for(model.catalogue) if model.catalogue else None
            base = facts.get(model.adapter_of, _UNKNOWN)
            facts[name] = _adapted(base, own or _UNKNOWN, model)
    return facts


def merged(first: ModelFacts, second: ModelFacts) -> ModelFacts:
    """Return `first` with what it does not know taken from `second`."""
    gaps = {
        name: getattr(second, name)
        for name in ModelFacts.__dataclass_fields__
        if getattr(first, name) in (None, ())
    }
    return replace(first, **gaps)


def _facts(model: ModelSection, file: RoutingFile, known: ModelFacts) -> ModelFacts:
    """Return what is `known` of the model with what the file and the model's engines make of it."""
    engines = several(model.engine)
    sections = [file.engines[engine] for engine in engines if engine in file.engines]
    # Several engines serve it, and any of them may be taken: what all of them can counts.
    contexts = filter(None, (section.context_for(known.context_tokens) for section in sections))
    given = bool(sections) and all(section.gives_tools for section in sections)
    # A worker of ours sees with the projector that the file names, and with nothing else.
    sees = True if model.mmproj is not None else known.vision
    blind = any(not section.reads_images for section in sections) and model.mmproj is None
    # Weights tell of all parameters and the catalogue of active ones, for its own model.
    active = [n for n in (known.active_parameters, known.parameters) if n is not None]
    return replace(
        known,
        active_parameters=min(active) if known.active_parameters is not None else None,
        context_tokens=model.context or min(contexts, default=None),
        languages=model.languages or known.languages,
        strengths=model.strengths or known.strengths,
        embeddings=known.embeddings if model.embeddings is None else model.embeddings,
        reranks=known.reranks if model.reranks is None else model.reranks,
        vision=False if blind else sees,
        tools=True if given else known.tools,
    )


def _adapted(base: ModelFacts, own: ModelFacts, model: ModelSection) -> ModelFacts:
    """Return the facts of an adapter: its model's, but for the licence and what the file says."""
    return replace(
        base,
        licence=own.licence,
        languages=model.languages or base.languages,
        strengths=model.strengths or base.strengths,
        embeddings=False,
        reranks=False,
    )


def _from_catalogue(name: str, model: ModelSection, catalogue: FactSource) -> ModelFacts:
    """Ask by the entry that the file names, else by what the model is called."""
    names = [model.catalogue] if model.catalogue else [model.upstream_model, model.weights, name]
    for candidate in filter(None, names):
        facts = catalogue.facts_for(candidate)
        if facts is not None:
            return facts
    return _UNKNOWN
