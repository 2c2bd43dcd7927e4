"""Which GPUs the replicas of a file get, where it leaves that open (`devices:` is absent).

Owns: whose GPUs are chosen here, and what room there is.
Must not: choose (`engines.memory` does).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from engines.kinds import LlamacppEngine, VllmEngine
from engines.memory import gpu
from engines.memory.placement import Wish, places
from engines.platform import Gpu, gpus, visible
from gateway.config.loading import LoadedConfig, Placing
from gateway.planning import engines_of, order_of


def placed(
    config: LoadedConfig, before: Placing | None = None, found: tuple[Gpu, ...] | None = None
) -> LoadedConfig:
    """Return a configuration whose replicas have their GPUs; with less than two there is no choice.

    The room is what was free when the gateway started, before any of its own ran: `before` has it,
    and where those are that run. A budget of the file for a GPU counts instead where it is less.
    """
    found = gpus() if found is None else found
    if len(found) < 2:
        return config
    free = {one.index: one.free_bytes for one in found}
    if before is not None and before.free.keys() == free.keys():
        free = dict(before.free)
    budget = config.file.residency.budget
    names = {gpu(index): index for index in free}
    rooms = {name: min(free[index], budget.get(name, free[index])) for name, index in names.items()}
    totals = {gpu(one.index): one.total_bytes for one in found}
    kept = {} if before is None else before.devices
    wishes = list(_wishes(config, totals))
    fixed = {
        wish.name: tuple(gpu(one.index) for one in visible(found, kind.devices))
        for wish, kind in wishes
        if kind.devices is not None
    }
    given = places(
        [wish for wish, _ in wishes],
        rooms,
        {name: tuple(map(gpu, devices)) for name, devices in kept.items()},
        fixed,
    )
    devices = {
        name: tuple(names[device] for device in place.devices)
        for name, place in given.items()
        if name not in fixed
    }
    return replace(config, placing=Placing(free, devices))


def _wishes(
    config: LoadedConfig, totals: Mapping[str, int]
) -> Iterator[tuple[Wish, LlamacppEngine | VllmEngine]]:
    for name, section in config.file.models.items():
        if section.adapter_of is not None:
            continue
        for engine in engines_of(section):
            kind = config.file.engines[engine]
            if not isinstance(kind, LlamacppEngine | VllmEngine):
                continue
            wish = kind.wish(order_of(name, engine, config), totals)
            if wish is None:
                continue
            for index in range(section.replicas):
                yield Wish(f"{name}/{engine}/{index}", wish.needs, wish.gpus), kind
