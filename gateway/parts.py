"""The gateway's parts, built from a configuration and held together.

Owns: which parts there are and how they are wired; `app.state.gateway` is one of these.
Must not: do what a part does.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engines.kinds import ModelOrder, ReplicaPlan, Room
from engines.kinds.section import several
from gateway.classify import Weigher
from gateway.config.loading import LoadedConfig
from gateway.config.schema import ModelSection, RoutingFile
from gateway.dispatch import Dispatcher
from gateway.domain import ModelFacts
from gateway.fleet import Fleet
from gateway.fleet.care import Carer
from gateway.observe.metrics import Metrics
from gateway.relay.client import UpstreamClient
from gateway.selection import Selector


@dataclass(frozen=True, slots=True)
class Gateway:
    """All parts of one gateway."""

    config: LoadedConfig
    facts: Mapping[str, ModelFacts]
    selector: Selector
    fleet: Fleet
    carer: Carer
    client: UpstreamClient
    metrics: Metrics
    dispatcher: Dispatcher
    created_s: int


def build_gateway(
    config: LoadedConfig, facts: Mapping[str, ModelFacts], *, runtime_folder: Path, cores: int
) -> Gateway:
    """Wire everything; nothing starts, listens or connects until the application does.

    `runtime_folder` holds the engines' sockets; `cores` are shared out among managed replicas.
    """
    file = config.file
    metrics = Metrics()
    fleet = Fleet(plans_of(config, runtime_folder, cores), metrics)
    metrics.show(fleet.figures)
    client = UpstreamClient()
    carer = Carer(fleet, client)
    selector = Selector(file, facts)
    dispatcher = Dispatcher(
        selector=selector,
        weigher=Weigher(file.sizes),
        fleet=fleet,
        carer=carer,
        client=client,
        clock=time.perf_counter,
        queue_timeout_s=file.gateway.queue_timeout_s,
    )
    return Gateway(
        config=config,
        facts=facts,
        selector=selector,
        fleet=fleet,
        carer=carer,
        client=client,
        metrics=metrics,
        dispatcher=dispatcher,
        created_s=int(time.time()),
    )


def plans_of(config: LoadedConfig, runtime_folder: Path, cores: int) -> Iterator[ReplicaPlan]:
    """Yield the replicas of every model on every engine that it names, in the file's order."""
    file = config.file
    room = Room(runtime_folder, threads=max(1, cores // max(1, managed_replicas(file))))
    for name, model in file.models.items():
        for engine in engines_of(model):
            yield from file.engines[engine].plan(_order(name, engine, model, config.base), room)


def engines_of(model: ModelSection) -> tuple[str, ...]:
    """Return the names of the engines that serve a model."""
    return several(model.engine)


def managed_replicas(file: RoutingFile) -> int:
    """Return how many child processes the file asks for."""
    return sum(
        model.replicas
        for model in file.models.values()
        for engine in engines_of(model)
        if file.engines[engine].managed
    )


def _order(name: str, engine: str, model: ModelSection, base: Path) -> ModelOrder:
    return ModelOrder(
        name=name,
        engine=engine,
        base=base,
        weights=model.weights,
        upstream_model=model.upstream_model,
        replicas=model.replicas,
        context=model.context,
        parallel=model.parallel,
        threads=model.threads,
        embeddings=model.embeddings,
    )
