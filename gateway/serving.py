"""What carries requests out by a file, in whichever process that is.

Owns: how a dispatcher is put together, and what it needs around it.
Must not: know who runs the engines.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.attempting import Attempts, Watch
from gateway.classify import Lesson
from gateway.config.loading import LoadedConfig
from gateway.config.schema import RoutingFile
from gateway.deciding import Decider
from gateway.dispatch import Dispatcher
from gateway.explanation import Explainer
from gateway.fleet import Fleet
from gateway.fleet.lending import Lender
from gateway.fleet.prefixes import Prefixes
from gateway.observe.journal import Observed
from gateway.observe.metrics import Metrics
from gateway.observing import Observer
from gateway.planning import hedges_of
from gateway.relay.client import UpstreamClient
from gateway.relay.shadows import Shadows
from gateway.relay.uses import Uses
from gateway.selection import Selector
from gateway.settling import Settler
from gateway.tokenizing import TokenCounter


class Front(Protocol):
    """What answers requests, by one file."""

    @property
    def config(self) -> LoadedConfig:
        """The file."""

    @property
    def dispatcher(self) -> Dispatcher:
        """Who carries requests out."""

    @property
    def explainer(self) -> Explainer:
        """Who tells where they would go."""

    @property
    def fleet(self) -> Fleet:
        """How the models are doing."""

    @property
    def prefixes(self) -> Prefixes:
        """Which models have read which beginnings."""


class Fronted(Protocol):
    """Whoever has the `Front` of now."""

    @property
    def gateway(self) -> Front:
        """What new requests see."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a dispatcher works with, whichever process has it.

    `observe` is told what is observed, `teach` what is learnt, where they are.
    """

    fleet: Fleet
    lender: Lender
    watch: Watch
    client: UpstreamClient
    metrics: Metrics
    prefixes: Prefixes
    shadows: Shadows
    uses: Uses
    observe: Callable[[Observed], None] | None
    teach: Callable[[Lesson], None] | None = None


def dispatcher_of(
    file: RoutingFile, selector: Selector, decider: Decider, around: Surroundings
) -> Dispatcher:
    """Return a dispatcher by a file."""
    fleet, client, observer = around.fleet, around.client, None
    if around.observe is not None:
        observer = Observer(selector, decider, fleet.status, around.observe)
    settler = Settler(
        selector=selector,
        decider=decider,
        counter=TokenCounter(fleet, client, time.monotonic, around.metrics),
        prefixes=around.prefixes,
        status=fleet.status,
        observer=observer,
        teach=around.teach,
    )
    for model in selector.shadows:
        around.metrics.may_shadow(model)
    return Dispatcher(
        selector=selector,
        settler=settler,
        fleet=fleet,
        lender=around.lender,
        attempts=Attempts(
            carer=around.watch, client=client, uses=around.uses, clock=time.perf_counter
        ),
        hedges=hedges_of(file),
        shadows=around.shadows,
        clock=time.perf_counter,
        queue_timeout_s=file.gateway.queue_timeout_s,
    )
