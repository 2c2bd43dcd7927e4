"""LoRA adapters among the models of a file: which belong to a model, and what they may not say.

Owns: the entries with `adapter_of`. Must not: read their files.
"""

from collections.abc import Iterator

from engines.kinds.section import several
from gateway.config.finding import Finding, missing
from gateway.config.schema import ModelSection, RoutingFile

# All else belongs to the processes of the model, which an adapter has with it.
_OWN_KEYS = {"engine", "weights", "aliases", "catalogue", "adapter_of", "adapter_scale"}


def adapters_of(file: RoutingFile, model: str) -> dict[str, ModelSection]:
    """Return the adapters that are served beside a model, by name."""
    return {name: m for name, m in file.models.items() if m.adapter_of == model}


def adapter_errors(file: RoutingFile) -> Iterator[Finding]:
    """Find adapters without a model that could have them, and keys that are no adapter's."""
    for name, model in file.models.items():
        path = ("models", name)
        if model.adapter_of is not None:
            yield from _errors(name, model, model.adapter_of, file)
        elif "adapter_scale" in model.model_fields_set:
            what = "'adapter_scale' has no effect without 'adapter_of'; add that, or remove it"
            yield Finding((*path, "adapter_scale"), what)


def _errors(name: str, adapter: ModelSection, base: str, file: RoutingFile) -> Iterator[Finding]:
    path = ("models", name)
    model = file.models.get(base)
    if model is None:
        plain = [known for known, section in file.models.items() if section.adapter_of is None]
        yield Finding((*path, "adapter_of"), missing("model", base, plain), (("models", base),))
        return
    if model.adapter_of is not None:
        what = f"'{base}' is an adapter itself; name the model that both belong to"
        yield Finding((*path, "adapter_of"), what, (("models", base, "adapter_of"),))
    elif several(adapter.engine) != several(model.engine):
        what = f"an adapter runs where its model runs; write the engine of '{base}'"
        yield Finding((*path, "engine"), what, (("models", base, "engine"),))
    if "=" in name:
        yield Finding(path, "an adapter's name must not have '=' in it")
    remote = [e for e in several(adapter.engine) if e in file.engines and not _runs(file, e)]
    if remote:
        what = (
            f"the engine '{remote[0]}' is remote and loads its own adapters; write "
            "`upstream_model` with the adapter's name there instead"
        )
        yield Finding((*path, "adapter_of"), what, (("engines", remote[0], "kind"),))
    # `upstream_model` is refused for every model that a process of ours serves.
    for key in sorted(adapter.model_fields_set - _OWN_KEYS - {"upstream_model"}):
        what = f"'{key}' has no effect: the adapter has that of '{base}'; remove it"
        yield Finding((*path, key), what, ((*path, "adapter_of"),))


def _runs(file: RoutingFile, engine: str) -> bool:
    return file.engines[engine].managed
