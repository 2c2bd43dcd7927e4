"""What selection knows of each configured model, from the file and from a catalogue of families.

Owns: which source of a fact wins: the file, then the catalogue.
Must not: read files or weights; the caller adds what the weights themselves say.
"""

from dataclasses import replace
from typing import Protocol

from engines.kinds import LlamacppEngine
from gateway.config.schema import ModelSection, RoutingFile
from gateway.domain import ModelFacts

_UNKNOWN = ModelFacts()


class FactSource(Protocol):
    """Where family facts come from: the catalogue, seen through one question."""

    def facts_for(self, name: str) -> ModelFacts | None:
        """Return what is known of a model by a name it goes by, None when nothing is."""


class NoFacts:
    """A source that knows nothing."""

    def facts_for(self, name: str) -> ModelFacts | None:  # noqa: ARG002 - the protocol names it
        """Return None."""
        return None


def facts_of(file: RoutingFile, catalogue: FactSource) -> dict[str, ModelFacts]:
    """Return the facts of every model in the file, by its name there."""
    return {name: _facts(name, model, file, catalogue) for name, model in file.models.items()}


def merged(first: ModelFacts, second: ModelFacts) -> ModelFacts:
    """Return `first` with what it does not know taken from `second`."""
    gaps = {
        name: getattr(second, name)
        for name in ModelFacts.__dataclass_fields__
        if getattr(first, name) in (None, ())
    }
    return replace(first, **gaps)


def _facts(name: str, model: ModelSection, file: RoutingFile, catalogue: FactSource) -> ModelFacts:
    engines = (model.engine,) if isinstance(model.engine, str) else model.engine
    sections = [file.engines[engine] for engine in engines if engine in file.engines]
    contexts = [s.context for s in sections if isinstance(s, LlamacppEngine) and s.context]
    stated = ModelFacts(
        # Several engines serve it, and any of them may be taken: the smallest context counts.
        context_tokens=model.context or min(contexts, default=None),
        embeddings=model.embeddings,
    )
    return merged(stated, _from_catalogue(name, model, catalogue))


def _from_catalogue(name: str, model: ModelSection, catalogue: FactSource) -> ModelFacts:
    """Ask by the entry that the file names, else by what the model is called."""
    names = [model.catalogue] if model.catalogue else [model.upstream_model, model.weights, name]
    for candidate in filter(None, names):
        facts = catalogue.facts_for(candidate)
        if facts is not None:
            return facts
    return _UNKNOWN
