"""What is known of each configured model, from all sources that there are without a network.

Owns: the order of the sources: the file, the weights' own header, the catalogue.
Must not: know a fact itself.
"""

from engines.weights import WeightsProblem, read_header, resolve
from gateway.catalogue import CatalogueFacts
from gateway.config.loading import LoadedConfig
from gateway.domain import ModelFacts
from gateway.selection.facts import facts_of, merged


def gather_facts(config: LoadedConfig) -> dict[str, ModelFacts]:
    """Return the facts of every model in the file, by its name there.

    Weights that cannot be read tell nothing here; their replica says why it cannot start.
    """
    stated = facts_of(config.file, CatalogueFacts())
    return {name: merged(facts, _from_weights(config, name)) for name, facts in stated.items()}


def _from_weights(config: LoadedConfig, name: str) -> ModelFacts:
    weights = config.file.models[name].weights
    if weights is None:
        return ModelFacts()
    try:
        header = read_header(resolve(weights, config.base))
    except WeightsProblem:
        return ModelFacts()
    return ModelFacts(
        parameters=header.parameters,
        context_tokens=header.context_length,
        embeddings=header.embeddings,
    )
