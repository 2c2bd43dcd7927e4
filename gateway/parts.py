"""The gateway's parts, built from a configuration and held together.

Owns: which parts there are and how they are wired; which of them live on when
the file changes; `app.state.live` has the gateway of now.
Must not: do what a part does.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engines.kinds import ReplicaPlan
from engines.kinds.lookup import Found, Lookup
from engines.memory.remembered import Remembered
from gateway.blueprint import Blueprint, blueprint_of
from gateway.config.loading import LoadedConfig
from gateway.config.schema import RoutingFile
from gateway.dispatch import Dispatcher
from gateway.domain import ModelFacts
from gateway.explanation import Explainer
from gateway.fleet import Condition, Fleet
from gateway.fleet.breaker import BreakerRules
from gateway.fleet.by_hand import ByHand
from gateway.fleet.care import Carer
from gateway.fleet.difference import Difference, difference, moulds_of
from gateway.fleet.learned import LoadTimes
from gateway.fleet.leasing import Leasing
from gateway.fleet.measuring import Measuring
from gateway.fleet.prefixes import Prefixes
from gateway.fleet.resident import Resident
from gateway.needs import reckoned_by
from gateway.observe.journal import Journal
from gateway.observe.metrics import Metrics
from gateway.observe.residency import ResidencyMetrics
from gateway.planning import limits_of
from gateway.relay.client import UpstreamClient
from gateway.relay.shadows import Shadows
from gateway.relay.uses import Uses
from gateway.selection import Selector
from gateway.serving import Surroundings, dispatcher_of


@dataclass(frozen=True, slots=True)
class Gateway:
    """All parts of one gateway; those of a changed file share the ones that live on."""

    config: LoadedConfig
    facts: Mapping[str, ModelFacts]
    moulds: Mapping[str, ReplicaPlan]
    selector: Selector
    explainer: Explainer
    fleet: Fleet
    resident: Resident
    by_hand: ByHand
    carer: Carer
    client: UpstreamClient
    metrics: Metrics
    leasing: Leasing
    dispatcher: Dispatcher
    prefixes: Prefixes
    shadows: Shadows
    uses: Uses
    journal: Journal | None
    created_s: int


class Live:
    """The gateway that new requests see: a changed file puts another one here, whole.

    A request keeps the one that it has begun with. `refused` are the problems of a file that is
    not in force, `held_back` the keys whose new values need a restart. `found` is what names in DNS
    stand for now. `prepare` is awaited before a file is put in force; `on_change` hears of another
    gateway, before anything else runs.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.on_change: Callable[[], None] = lambda: None
        self.prepare: Callable[[Blueprint], Awaitable[None]] = _at_once
        self.refused: tuple[str, ...] = ()
        self.held_back: tuple[str, ...] = ()
        self.found: Mapping[Lookup, Found] = {}

    def put(self, gateway: Gateway) -> None:
        """Let new requests see another gateway."""
        self.gateway = gateway
        self.on_change()


async def _at_once(_: Blueprint) -> None:
    """Prepare nothing."""


def build_gateway(
    config: LoadedConfig,
    facts: Mapping[str, ModelFacts],
    *,
    runtime_folder: Path,
    cores: int,
    cache: Path | None = None,
) -> Gateway:
    """Wire everything; nothing starts, listens or connects until the application does.

    Arguments as for `blueprint_of`; what is learnt for later starts is kept in `cache`.
    """
    blueprint = blueprint_of(config, facts, runtime_folder=runtime_folder, cores=cores, cache=cache)
    config = blueprint.config
    file, metrics, client = config.file, Metrics(), UpstreamClient()
    limits = limits_of(file, blueprint.plans)
    fleet = Fleet(
        blueprint.plans,
        metrics,
        _breaking(file),
        time.perf_counter,
        limits,
        affine=file.gateway.prefix_affinity,
    )
    metrics.show(fleet.figures)
    resident = Resident(
        fleet, ResidencyMetrics(metrics.registry), LoadTimes(cache), time.perf_counter
    )
    remembered = Remembered(cache)
    measuring = Measuring(remembered, resident, reckoned_by(config, remembered))
    carer = Carer(fleet, client, resident, measuring)
    resident.settle(blueprint.residing)
    journal = None
    if file.mode == "observe":
        journal = Journal(config.base / file.observe.file, file.observe.max_bytes)
    lasting = _Lasting(
        fleet=fleet,
        resident=resident,
        carer=carer,
        client=client,
        metrics=metrics,
        prefixes=Prefixes(),
        shadows=Shadows(metrics.shadowed, time.perf_counter),
        uses=Uses(client),
        journal=journal,
        created_s=int(time.time()),
    )
    return _wired(blueprint, lasting)


def changed_gateway(before: Gateway, blueprint: Blueprint) -> tuple[Gateway, Difference]:
    """Return the gateway that serves another file, and which replicas stay, start and end.

    From now on the fleet is the one of that file; replicas that could not run are tried again. On
    the event loop's thread.
    """
    fleet = before.fleet
    failed = {replica.name for replica in fleet if replica.condition is Condition.FAILED}
    able = {name: mould for name, mould in before.moulds.items() if name not in failed}
    change = difference(able, blueprint.moulds)
    file, plans = blueprint.config.file, blueprint.plans
    fleet.change(plans, change.kept, _breaking(file), limits_of(file, plans))
    fleet.affine = file.gateway.prefix_affinity
    measuring = before.carer.measuring
    measuring.follow(reckoned_by(blueprint.config, measuring.remembered))
    before.resident.settle(blueprint.residing)
    before.carer.adjust()
    lasting = _Lasting(**{name: getattr(before, name) for name in _Lasting.__slots__})
    return _wired(blueprint, lasting), change


def with_replicas(
    before: Gateway, anew: Sequence[ReplicaPlan], engines: Collection[str]
) -> Gateway:
    """Return the gateway in which some engines have the replicas that were planned `anew`.

    All others go on as they are. On the event loop's thread.
    """
    fleet, file = before.fleet, before.config.file
    others = [replica.plan for replica in fleet if replica.plan.engine not in engines]
    moulds = {
        **{name: mould for name, mould in before.moulds.items() if mould.engine not in engines},
        **moulds_of(anew),
    }
    order = {model: at for at, model in enumerate(file.models)}
    plans = sorted((*others, *anew), key=lambda plan: order.get(plan.model, len(order)))
    kept = difference(before.moulds, moulds).kept
    fleet.change(plans, kept, _breaking(file), limits_of(file, plans))
    before.carer.adjust()
    return replace(before, moulds=moulds)


@dataclass(frozen=True, slots=True)
class _Lasting:
    """The parts that every file of one gateway has in common."""

    fleet: Fleet
    resident: Resident
    carer: Carer
    client: UpstreamClient
    metrics: Metrics
    prefixes: Prefixes
    shadows: Shadows
    uses: Uses
    journal: Journal | None
    created_s: int


def _wired(blueprint: Blueprint, lasting: _Lasting) -> Gateway:
    file, selector, decider = blueprint.config.file, blueprint.selector, blueprint.decider
    leasing = Leasing(
        lasting.fleet, lasting.resident.reception, time.perf_counter, file.gateway.retry_share
    )
    around = Surroundings(
        fleet=lasting.fleet,
        lender=leasing,
        watch=lasting.carer,
        client=lasting.client,
        metrics=lasting.metrics,
        prefixes=lasting.prefixes,
        shadows=lasting.shadows,
        uses=lasting.uses,
        observe=None if lasting.journal is None else lasting.journal.add,
    )
    return Gateway(
        config=blueprint.config,
        facts=blueprint.facts,
        moulds=blueprint.moulds,
        selector=selector,
        explainer=Explainer(selector, decider),
        leasing=leasing,
        dispatcher=dispatcher_of(file, selector, decider, around),
        fleet=lasting.fleet,
        resident=lasting.resident,
        by_hand=ByHand(lasting.fleet, lasting.resident, time.perf_counter),
        carer=lasting.carer,
        client=lasting.client,
        metrics=lasting.metrics,
        prefixes=lasting.prefixes,
        shadows=lasting.shadows,
        uses=lasting.uses,
        journal=lasting.journal,
        created_s=lasting.created_s,
    )


def _breaking(file: RoutingFile) -> BreakerRules:
    return BreakerRules(file.gateway.breaker_failures, file.gateway.breaker_open_s)
