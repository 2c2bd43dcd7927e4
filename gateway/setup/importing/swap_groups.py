"""Who may be in memory together, as llama-swap's groups say it.

Models of a group that swaps push each other out, and a model of an exclusive group all others but
those of persistent groups. Models of no group are one that does both.

Owns: what groups mean. Must not: know commands or budgets.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from gateway.setup.importing.sheet import listed, mapping


def groups_apart(groups: object, models: Sequence[str]) -> list[tuple[str, ...]]:
    """Return sets of models of which never two are in memory at once; each pair stands in one."""
    homes = _homes(mapping(groups), models)
    apart = {pair for pair in combinations(models, 2) if _apart(homes[pair[0]], homes[pair[1]])}
    found: list[tuple[str, ...]] = []
    left = sorted(apart, key=lambda pair: (models.index(pair[0]), models.index(pair[1])))
    while left:
        chosen = list(left[0])
        for model in models:
            others = [one for one in chosen if one != model]
            if model not in chosen and all(_ordered(model, o, models) in apart for o in others):
                chosen.append(model)
        found.append(tuple(sorted(chosen, key=models.index)))
        done = set(combinations(found[-1], 2))
        left = [pair for pair in left if pair not in done]
    return found


def _homes(groups: Mapping[str, Any], models: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    homes: dict[str, Mapping[str, Any]] = {}
    for name, group in groups.items():
        settings = mapping(group)
        for member in listed(settings.get("members")):
            homes.setdefault(str(member), {**settings, "name": name})
    return {model: homes.get(model, {"name": ""}) for model in models}


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one["name"] == other["name"]:
        return _says(one, "swap", default=True)
    return _pushes(one, other) or _pushes(other, one)


def _pushes(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    exclusive = _says(one, "exclusive", default=True)
    return exclusive and not _says(other, "persistent", default=False)


def _says(group: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = group.get(key, default)
    return value if isinstance(value, bool) else default


def _ordered(one: str, other: str, models: Sequence[str]) -> tuple[str, str]:
    return (one, other) if models.index(one) < models.index(other) else (other, one)
