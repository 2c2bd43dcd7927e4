"""From a file to the replicas that it asks for, and the limits and hedges of its models.

Owns: what of the file a plan carries. Must not: start, end or compare replicas.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from engines.kinds import (
    AdapterOrder,
    Deadlines,
    ModelOrder,
    RemoteEngine,
    ReplicaPlan,
    Room,
)
from engines.kinds.lookup import Found, Lookup
from engines.kinds.section import several
from gateway.config.adapters import adapters_of
from gateway.config.loading import LoadedConfig
from gateway.config.schema import ModelSection, RoutingFile
from gateway.fleet.hedges import Hedge, HedgeRule
from gateway.fleet.queue import Limits


def plans_of(
    config: LoadedConfig,
    runtime_folder: Path,
    cores: int,
    generation: int = 0,
    found: Mapping[Lookup, Found] | None = None,
) -> Iterator[ReplicaPlan]:
    """Return the replicas of every model on every engine that it names, in the file's order."""
    threads = max(1, cores // max(1, managed_replicas(config.file)))
    return plans_in(config, Room(runtime_folder, threads, generation, found or {}))


def plans_in(config: LoadedConfig, room: Room) -> Iterator[ReplicaPlan]:
    """Yield the same in a room of the caller's."""
    file = config.file
    secrets = _secrets_of(file)
    for name, model in file.models.items():
        if model.adapter_of is not None:
            continue  # the replicas of its model serve it
        for engine in engines_of(model):
            for plan in file.engines[engine].plan(order_of(name, engine, config), room):
                launch = plan.launch
                yield replace(
                    _fetched(plan, file.residency.pull),
                    launch=None if launch is None else replace(launch, secrets=secrets),
                    deadlines=_deadlines(plan.deadlines, model),
                    continue_wait_s=model.continue_wait_s if model.on_break == "continue" else 0,
                    warm_up=model.warm_up if launch is not None else None,
                )


def fetched_later(plans: Iterable[ReplicaPlan]) -> frozenset[str]:
    """Return the models whose weights we fetch when somebody asks for them."""
    return frozenset(p.model for p in plans if p.absent is not None and p.problem is None)


def _fetched(plan: ReplicaPlan, pull: Literal["demand", "never"]) -> ReplicaPlan:
    """Say who fetches what is absent: we, whom nothing hinders then, or somebody else."""
    if plan.absent is None:
        return plan
    if pull == "demand":
        return replace(plan, problem=None)
    # An engine with no problem fetches by itself when it starts.
    return plan if plan.problem is not None else replace(plan, absent=None)


def limits_of(file: RoutingFile, plans: Iterable[ReplicaPlan]) -> dict[str, Limits]:
    """Return the limits of the models that have some."""
    begin_s: dict[str, float] = {}
    for plan in plans:
        for name in plan.served:
            begin_s[name] = max(begin_s.get(name, 0), plan.deadlines.first_byte_s)
    return {
        name: Limits(
            model.max_concurrent,
            1_024 if model.max_queued is None else model.max_queued,
            begin_s[name],
        )
        for name, model in file.models.items()
        if model.max_concurrent is not None
    }


def hedges_of(file: RoutingFile) -> dict[str, Hedge]:
    """Return the hedges of the models that have some."""
    return {
        name: Hedge(HedgeRule(one.hedge.after_percentile, one.hedge.share, one.hedge.least_s))
        for name, one in file.models.items()
        if one.hedge is not None
    }


def engines_of(model: ModelSection) -> tuple[str, ...]:
    """Return the names of the engines that serve a model."""
    return several(model.engine)


def managed_replicas(file: RoutingFile) -> int:
    """Return how many child processes the file asks for."""
    return sum(
        model.replicas
        for model in file.models.values()
        if model.adapter_of is None
        for engine in engines_of(model)
        if file.engines[engine].managed
    )


def _secrets_of(file: RoutingFile) -> frozenset[str]:
    """Return the keys of servers elsewhere: no process of ours is to find them in a variable."""
    keys = [engine.api_key for engine in file.engines.values() if isinstance(engine, RemoteEngine)]
    return frozenset(key.get_secret_value() for key in keys if key is not None)


def _deadlines(own: Deadlines, model: ModelSection) -> Deadlines:
    """Return the engine's deadlines with those that the model sets itself."""
    return Deadlines(
        model.connect_timeout_s or own.connect_s,
        model.first_byte_timeout_s or own.first_byte_s,
        model.idle_timeout_s or own.idle_s,
        model.total_timeout_s or own.total_s,
    )


def order_of(name: str, engine: str, config: LoadedConfig) -> ModelOrder:
    """Return what the file says of a model, for one of its engines."""
    model = config.file.models[name]
    return ModelOrder(
        name=name,
        engine=engine,
        base=config.base,
        weights=model.weights,
        mmproj=model.mmproj,
        upstream_model=model.upstream_model,
        replicas=model.replicas,
        context=model.context,
        parallel=model.parallel,
        threads=model.threads,
        embeddings=model.embeddings,
        pooling=model.pooling,
        catalogue=model.catalogue,
        devices=tuple(
            config.placing.devices[one]
            for one in (f"{name}/{engine}/{index}" for index in range(model.replicas))
            if one in config.placing.devices
        ),
        adapters=tuple(
            AdapterOrder(adapter, section.weights or "", section.adapter_scale)
            for adapter, section in adapters_of(config.file, name).items()
        ),
    )
