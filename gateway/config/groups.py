"""Groups of models that live together or apart, as far as the file alone tells.

Owns: what is wrong with `residency: {groups: ...}`. Must not: know what fits.
"""

from collections.abc import Iterator

from engines.kinds.section import several
from gateway.config.finding import Finding, missing
from gateway.config.schema import RoutingFile


def group_errors(file: RoutingFile) -> Iterator[Finding]:
    """Find names that no process of ours serves, and models that must and must not be together."""
    together: dict[str, int] = {}
    for index, group in enumerate(file.residency.groups):
        path = ("residency", "groups", index, "models")
        for place, name in enumerate(group.models):
            model = file.models.get(name)
            if model is None:
                yield Finding((*path, place), missing("model", name, file.models))
            elif model.adapter_of is not None:
                what = f"'{name}' is an adapter, which is where its model is; name that"
                yield Finding((*path, place), what, (("models", name, "adapter_of"),))
            elif not any(
                e in file.engines and file.engines[e].managed for e in several(model.engine)
            ):
                what = f"'{name}' runs on a remote engine, which loads it; remove it here"
                yield Finding((*path, place), what, (("models", name, "engine"),))
            elif name in group.models[:place]:
                yield Finding((*path, place), f"'{name}' is listed twice; remove one")
            elif group.live == "together" and name in together:
                what = f"'{name}' is in the group {together[name] + 1} already; make them one group"
                yield Finding((*path, place), what)
            elif group.live == "together":
                together[name] = index
    yield from _torn(file, together)


def _torn(file: RoutingFile, together: dict[str, int]) -> Iterator[Finding]:
    for index, group in enumerate(file.residency.groups):
        if group.live != "apart":
            continue
        seen: dict[int, str] = {}
        for place, name in enumerate(group.models):
            home = together.get(name)
            if home is not None and home in seen:
                what = f"'{name}' and '{seen[home]}' are to live together and apart; choose one"
                yield Finding(("residency", "groups", index, "models", place), what)
            elif home is not None:
                seen[home] = name
