"""From a file to the units that are loaded together, and how each is to be treated.

Owns: which models may be absent from memory at all, and who lives with whom.
Must not: decide who is loaded (`engines.residency` does), or load anything.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from engines.kinds import ReplicaPlan
from engines.memory import RAM, asleep
from engines.memory.remembered import Remembered
from engines.residency import Rules, Unit
from gateway.config.loading import LoadedConfig
from gateway.config.schema import ModelSection, RoutingFile
from gateway.fleet.residence import Residence, Residing
from gateway.needs import ModelNeed, by_device, needs_of
from gateway.planning import fetched_later


def residing_of(
    config: LoadedConfig,
    plans: Sequence[ReplicaPlan],
    runtime_folder: Path,
    cache: Path | None = None,
) -> Residing:
    """Return the units of a file; none where every model is loaded all the time.

    What was measured before, and lies in `cache`, corrects what is reckoned.
    """
    file = config.file
    own = {plan.model: [] for plan in plans if plan.launch is not None}  # type: dict[str, list[ReplicaPlan]]
    for plan in plans:
        if plan.launch is not None:
            own[plan.model].append(plan)
    grouped = {name for group in file.residency.groups for name in group.models}
    absent = fetched_later(plans)
    names = [
        n
        for n in own
        if file.residency.budget or n in grouped or n in absent or _leaves(file.models[n])
    ]
    if not names:
        return Residing()
    found = needs_of(config, Remembered(cache), only=names)
    needs = {name: [one for one in found if one.model == name] for name in names}
    total = by_device(found)
    fit = all(total.get(device, 0) <= most for device, most in file.residency.budget.items())
    return Residing(
        rules=Rules(file.residency.budget, file.residency.swap_bound_s),
        residences=tuple(
            _residence(
                file,
                models,
                needs,
                own,
                runtime_folder,
                # Nobody knows yet what fits, and gigabytes come when somebody wants them.
                fit=fit and absent.isdisjoint(models),
            )
            for models in _households(file, names)
        ),
        wait_s=file.residency.load_wait_s,
        heartbeat_after_s=file.residency.heartbeat_after_s,
        most_waiting={
            name: model.max_queued
            for name, model in file.models.items()
            if model.max_queued is not None
        },
    )


def _leaves(model: ModelSection) -> bool:
    return model.load == "demand" or model.keep_alive_s is not None


def _households(file: RoutingFile, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the models that are loaded as one, in the file's order."""
    together = [group.models for group in file.residency.groups if group.live == "together"]
    home = {name: group for group in together for name in group}
    found: dict[tuple[str, ...], None] = {}
    for name in names:
        found[tuple(one for one in names if one in home.get(name, (name,)))] = None
    return list(found)


def _residence(
    file: RoutingFile,
    models: tuple[str, ...],
    needs: Mapping[str, Sequence[ModelNeed]],
    own: Mapping[str, Sequence[ReplicaPlan]],
    runtime_folder: Path,
    *,
    fit: bool,
) -> Residence:
    sections = [file.models[model] for model in models]
    found = [one for model in models for one in needs[model]]
    kept = [section.keep_alive_s for section in sections]
    longest_s = max((kept_s for kept_s in kept if kept_s is not None), default=None)
    return Residence(
        Unit(
            "+".join(models),
            by_device(found),
            pinned=any(section.pin for section in sections),
            keep_alive_s=None if None in kept else longest_s,
            min_resident_s=max(section.min_resident_s for section in sections),
            excludes=_apart(file, models),
            measured=any(one.how == "measured" for one in found),
            asleep=_asleep(file, found, [plan for model in models for plan in own[model]]),
        ),
        models,
        at_start=any(
            (section.load or ("start" if fit else "demand")) == "start" for section in sections
        ),
        mark=_mark([plan for model in models for plan in own[model]], runtime_folder),
    )


def _asleep(
    file: RoutingFile, needs: Iterable[ModelNeed], plans: Iterable[ReplicaPlan]
) -> Mapping[str, int] | None:
    """Return what a unit keeps while it sleeps; None where it cannot, or RAM has no bound."""
    if RAM not in file.residency.budget or not all(plan.sleeps for plan in plans):
        return None
    total: Counter[str] = Counter()
    for need in needs:
        total.update(asleep(need.need).by_device)
    return dict(total)


def _apart(file: RoutingFile, models: tuple[str, ...]) -> frozenset[str]:
    """Return the units that never are in memory together with one of these models."""
    apart = [group.models for group in file.residency.groups if group.live == "apart"]
    pairs = [pair for group in apart for pair in combinations(group, 2)]
    others = {b for a, b in pairs if a in models} | {a for a, b in pairs if b in models}
    together = [group.models for group in file.residency.groups if group.live == "together"]
    home = {name: group for group in together for name in group}
    inside = [tuple(m for m in file.models if m in home.get(name, (name,))) for name in others]
    return frozenset("+".join(one) for one in inside if one != models)


def _mark(plans: Iterable[ReplicaPlan], runtime_folder: Path) -> str:
    """Return a mark of what the processes are, less what differs from start to start."""
    said = hashlib.blake2s(digest_size=8)
    for plan in plans:
        for word in plan.launch.argv[1:] if plan.launch is not None else ():
            if str(runtime_folder) not in word and "threads" not in word:
                said.update(word.encode() + b"\0")
    return said.hexdigest()
