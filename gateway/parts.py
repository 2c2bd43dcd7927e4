"""The gateway's parts, built from a configuration and held together.

Owns: which parts there are and how they are wired; `app.state.gateway` is one of these.
Must not: do what a part does.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from engines.kinds import (
    AdapterOrder,
    Deadlines,
    ModelOrder,
    RemoteEngine,
    ReplicaPlan,
    Room,
)
from engines.kinds.section import several
from gateway.config.adapters import adapters_of
from gateway.config.loading import LoadedConfig
from gateway.config.schema import ModelSection, RoutingFile
from gateway.deciding import decider_of
from gateway.dispatch import Dispatcher
from gateway.domain import ModelFacts
from gateway.explanation import Explainer
from gateway.fleet import Fleet
from gateway.fleet.breaker import BreakerRules
from gateway.fleet.care import Carer
from gateway.fleet.prefixes import Prefixes
from gateway.fleet.queue import Limits
from gateway.observe.journal import Journal
from gateway.observe.metrics import Metrics
from gateway.observing import Observer
from gateway.relay.client import UpstreamClient
from gateway.relay.shadows import Shadows
from gateway.selection import Selector
from gateway.settling import Settler
from gateway.tokenizing import TokenCounter


@dataclass(frozen=True, slots=True)
class Gateway:
    """All parts of one gateway."""

    config: LoadedConfig
    facts: Mapping[str, ModelFacts]
    selector: Selector
    explainer: Explainer
    fleet: Fleet
    carer: Carer
    client: UpstreamClient
    metrics: Metrics
    dispatcher: Dispatcher
    prefixes: Prefixes
    shadows: Shadows
    journal: Journal | None
    created_s: int


def build_gateway(
    config: LoadedConfig, facts: Mapping[str, ModelFacts], *, runtime_folder: Path, cores: int
) -> Gateway:
    """Wire everything; nothing starts, listens or connects until the application does.

    `runtime_folder` holds the engines' sockets; `cores` are shared out among managed replicas.
    """
    file = config.file
    metrics = Metrics()
    breaking = BreakerRules(file.gateway.breaker_failures, file.gateway.breaker_open_s)
    plans = tuple(plans_of(config, runtime_folder, cores))
    fleet = Fleet(plans, metrics, breaking, time.perf_counter, limits_of(file, plans))
    metrics.show(fleet.figures)
    client = UpstreamClient()
    carer = Carer(fleet, client)
    prefixes, shadows = Prefixes(), Shadows(metrics.shadowed, time.perf_counter)
    selector = Selector(file, facts)
    decider = decider_of(file, facts, selector)
    journal, observer = None, None
    if file.mode == "observe":
        journal = Journal(config.base / file.observe.file, file.observe.max_bytes)
        observer = Observer(selector, decider, fleet.status, journal.add)
    counter = TokenCounter(fleet, client, time.monotonic)
    settler = Settler(
        selector=selector,
        decider=decider,
        counter=counter,
        prefixes=prefixes,
        status=fleet.status,
        observer=observer,
    )
    for model in selector.shadows:
        metrics.may_shadow(model)
    dispatcher = Dispatcher(
        selector=selector,
        settler=settler,
        fleet=fleet,
        carer=carer,
        client=client,
        shadows=shadows,
        clock=time.perf_counter,
        queue_timeout_s=file.gateway.queue_timeout_s,
        retry_share=file.gateway.retry_share,
    )
    return Gateway(
        config=config,
        facts=facts,
        selector=selector,
        explainer=Explainer(selector, decider),
        fleet=fleet,
        carer=carer,
        client=client,
        metrics=metrics,
        dispatcher=dispatcher,
        prefixes=prefixes,
        shadows=shadows,
        journal=journal,
        created_s=int(time.time()),
    )


def plans_of(config: LoadedConfig, runtime_folder: Path, cores: int) -> Iterator[ReplicaPlan]:
    """Yield the replicas of every model on every engine that it names, in the file's order."""
    file = config.file
    secrets = _secrets_of(file)
    room = Room(runtime_folder, threads=max(1, cores // max(1, managed_replicas(file))))
    for name, model in file.models.items():
        if model.adapter_of is not None:
            continue  # the replicas of its model serve it
        for engine in engines_of(model):
            for plan in file.engines[engine].plan(_order(name, engine, config), room):
                launch = plan.launch
                yield replace(
                    plan,
                    launch=None if launch is None else replace(launch, secrets=secrets),
                    deadlines=_deadlines(plan.deadlines, model),
                    continue_wait_s=model.continue_wait_s if model.on_break == "continue" else 0,
                )


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


def _order(name: str, engine: str, config: LoadedConfig) -> ModelOrder:
    model = config.file.models[name]
    return ModelOrder(
        name=name,
        engine=engine,
        base=config.base,
        weights=model.weights,
        upstream_model=model.upstream_model,
        replicas=model.replicas,
        context=model.context,
        parallel=model.parallel,
        threads=model.threads,
        embeddings=model.embeddings,
        pooling=model.pooling,
        adapters=tuple(
            AdapterOrder(adapter, section.weights or "", section.adapter_scale)
            for adapter, section in adapters_of(config.file, name).items()
        ),
    )
