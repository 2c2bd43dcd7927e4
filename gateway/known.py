"""What is known of each configured model, from all sources that there are without a network.

Owns: the order of the sources: the file, the weights' own header, the catalogue.
Must not: know a fact itself.
"""

from engines.llamacpp.beforehand import own_context
from engines.vllm.weights import facts_of_folder, folder_of, pulled_folder
from engines.weights import WeightsProblem, abilities_of, read_header, resolve
from gateway.catalogue import CatalogueFacts
from gateway.config.loading import LoadedConfig
from gateway.domain import ModelFacts
from gateway.selection.facts import facts_of


def gather_facts(config: LoadedConfig) -> dict[str, ModelFacts]:
    """Return the facts of every model in the file, by its name there.

    Weights that cannot be read tell nothing here; their replica says why it cannot start.
    """
    told = {name: _from_weights(config, name) for name in config.file.models}
    return facts_of(config.file, told, CatalogueFacts())


def _from_weights(config: LoadedConfig, name: str) -> ModelFacts:
    model = config.file.models[name]
    if model.weights is None:
        return ModelFacts()
    folder = folder_of(model.weights, config.base) or pulled_folder(model.weights, config.base)
    if folder is not None and (folder / "config.json").is_file():
        told = facts_of_folder(folder)
        return ModelFacts(context_tokens=told.context_tokens, generates=told.generates)
    try:
        header = read_header(resolve(model.weights, config.base))
    except WeightsProblem:
        return ModelFacts()
    abilities = abilities_of(header, pooling=model.pooling)
    return ModelFacts(
        parameters=header.parameters,
        # What a worker takes where the weights do not say it, which no catalogue knows better.
        context_tokens=own_context(header.context_length),
        generates=abilities.generates,
        embeddings=abilities.embeds,
        reranks=abilities.reranks,
    )
