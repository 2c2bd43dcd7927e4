"""What the models of a file need of this machine's memory.

Owns: whose word counts: the file's, then what was measured, then what is reckoned.
Must not: load anything, or decide who is loaded.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from engines.kinds import LlamacppEngine, ModelOrder, ReplicaPlan
from engines.kinds.section import Section
from engines.memory import RAM, MemoryNeed, Part
from engines.memory.remembered import Remembered, corrected
from engines.weights import WeightsProblem
from gateway.config.loading import LoadedConfig
from gateway.fleet.measuring import Reckoned
from gateway.planning import engines_of, order_of

How: TypeAlias = Literal["stated", "measured", "reckoned"]


@dataclass(frozen=True, slots=True)
class ModelNeed:
    """What one model takes on one engine, by `how` anybody knows.

    `mark` tells weights and settings from others. With a `problem` nobody knows: there is nothing
    to load. `replicas` share the pages of a file; those that have other GPUs than the first
    are `elsewhere`. `gpus` are those that each was given.
    """

    model: str
    engine: str
    replicas: int
    one: MemoryNeed
    how: How
    mark: str = ""
    problem: str | None = None
    elsewhere: tuple[MemoryNeed, ...] = ()
    gpus: tuple[tuple[int, ...], ...] = ()

    @property
    def need(self) -> MemoryNeed:
        """What all replicas take."""
        alike = self.one.times(self.replicas - len(self.elsewhere))
        own = (p for need in self.elsewhere for p in need.parts if not p.file_backed)
        return MemoryNeed((*alike.parts, *own))


def needs_of(
    config: LoadedConfig,
    remembered: Remembered,
    changes: Mapping[str, Any] | None = None,
    only: Collection[str] | None = None,
) -> tuple[ModelNeed, ...]:
    """Return what each model takes on each engine of this machine, in the file's order.

    `changes` are settings that every llama.cpp engine is given instead of its own; with `only`
    other models are left out.
    """
    names = config.file.models if only is None else only
    return tuple(_each(config, remembered, changes or {}, names))


def by_device(needs: Iterable[ModelNeed]) -> dict[str, int]:
    """Return what these take together of each device."""
    total: Counter[str] = Counter()
    for one in needs:
        total.update(one.need.by_device)
    return dict(total)


def reckoned_by(config: LoadedConfig, remembered: Remembered) -> Reckoned:
    """Return what a file makes of its models' needs, for whoever measures their processes."""

    def mark_of(plan: ReplicaPlan) -> str | None:
        if plan.launch is None or not plan.launch.measurable:
            return None
        order = order_of(plan.model, plan.engine, config)
        return _reckoned(config, order, remembered, {}).mark or None

    def together(models: Collection[str]) -> Mapping[str, int] | None:
        found = needs_of(config, remembered, only=models)
        return by_device(found) if any(one.how == "measured" for one in found) else None

    return Reckoned(mark_of, together)


def _each(
    config: LoadedConfig,
    remembered: Remembered,
    changes: Mapping[str, Any],
    names: Collection[str],
) -> Iterator[ModelNeed]:
    for name, section in config.file.models.items():
        if section.adapter_of is not None or name not in names:
            continue
        for engine in engines_of(section):
            if not config.file.engines[engine].managed:
                continue
            found = _reckoned(config, order_of(name, engine, config), remembered, changes)
            stated = section.memory is not None and not changes and found.problem is None
            yield _stated(found, section.memory or 0) if stated else found


def _stated(found: ModelNeed, ram_bytes: int) -> ModelNeed:
    """Return a need whose RAM is what the file says."""

    def stated(need: MemoryNeed) -> MemoryNeed:
        others = (part for part in need.parts if part.device != RAM)
        return MemoryNeed((Part("process", RAM, ram_bytes), *others))

    others = tuple(map(stated, found.elsewhere))
    return replace(found, one=stated(found.one), elsewhere=others, how="stated")


def _reckoned(
    config: LoadedConfig, order: ModelOrder, remembered: Remembered, changes: Mapping[str, Any]
) -> ModelNeed:
    section = config.file.engines[order.engine]
    if isinstance(section, LlamacppEngine) and changes:
        section, order = _changed(section, order, changes)
    try:
        need = section.need(order)
    except WeightsProblem as error:
        problem = str(error)
        nothing = MemoryNeed()
        return ModelNeed(
            order.name, order.engine, order.replicas, nothing, "reckoned", problem=problem
        )
    mark = _mark(section, order, need)
    seen = remembered.seen(mark)
    return ModelNeed(
        order.name,
        order.engine,
        order.replicas,
        corrected(need, seen),
        "reckoned" if seen is None else "measured",
        mark,
        elsewhere=tuple(
            corrected(section.need(replace(order, devices=(devices,))), seen)
            for devices in order.devices[1:]
            if devices != order.devices[0]
        ),
        gpus=order.devices,
    )


def _changed(
    section: LlamacppEngine, order: ModelOrder, changes: Mapping[str, Any]
) -> tuple[LlamacppEngine, ModelOrder]:
    own = {key: value for key, value in changes.items() if key in ("context", "parallel")}
    return section.model_copy(update=dict(changes)), replace(order, **own)


def _mark(section: Section, order: ModelOrder, need: MemoryNeed) -> str:
    """Return a mark of what was reckoned: what comes to the same is laid out alike.

    Of engines other than our own nobody knows which of their settings count.
    """
    said = hashlib.blake2s(digest_size=10)
    settings = None if isinstance(section, LlamacppEngine) else section
    for word in (order.weights, order.pooling, order.embeddings, need.parts, settings):
        said.update(repr(word).encode() + b"\0")
    return said.hexdigest()
