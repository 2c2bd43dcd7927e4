"""The figures of residency: who is in memory, how often that changes, how much it takes.

Owns: the names, helps and labels of these.
Must not: know why a model is loaded.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engines.residency import State
from gateway.observe.numbers import Counters, Distributions

_SECONDS = (0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)


class Leaving(StrEnum):
    """Why a model leaves memory."""

    ROOM = "room"
    IDLE = "idle"
    ASKED = "asked"


class Came(Protocol):
    """How far weights have come that are pulled."""

    here_bytes: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class UnitFigures:
    """One unit at the moment of a scrape; `needs`, and when it is `asleep`, are bytes by device.

    `dormant`: it ends out of its sleep.
    """

    name: str
    state: State
    needs: Mapping[str, int]
    coming: Came | None = None
    asleep: Mapping[str, int] = field(default_factory=dict)
    dormant: bool = False

    @property
    def taken(self) -> Mapping[str, int]:
        """What it takes in its state."""
        return self.asleep if self.dormant or self.state is State.SLEEPING else self.needs


class ResidencyMetrics(Collector):
    """Counted as it happens, or read at a scrape; nothing is shown where no model is on demand."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._figures: Callable[[], Iterable[UnitFigures]] = tuple
        self._budget: Mapping[str, int] = {}
        self._loads = Counters("weighbridge_model_loads", "Loads started.", ("model",))
        self._failures = Counters("weighbridge_model_load_failures", "Loads failed.", ("model",))
        self._sleeps = Counters(
            "weighbridge_model_sleeps", "Models put to sleep, not stopped.", ("model",)
        )
        self._pulls = Counters("weighbridge_model_pulls", "Downloads started.", ("model",))
        self._pull_failures = Counters(
            "weighbridge_model_pull_failures", "Downloads failed.", ("model",)
        )
        self._unloads = Counters(
            "weighbridge_model_unloads",
            "Unloads: for others' room, idle for keep_alive_s, or by hand.",
            ("model", "reason"),
        )
        self._seconds = Distributions(
            "weighbridge_model_load_seconds",
            "From the start of a load until the model is ready, including its warm-up.",
            ("model",),
            _SECONDS,
        )
        loads = (self._loads, self._failures, self._unloads, self._sleeps)
        for family in (*loads, self._pulls, self._pull_failures, self._seconds, self):
            registry.register(family)

    def show(self, figures: Callable[[], Iterable[UnitFigures]], budget: Mapping[str, int]) -> None:
        """Show these units from now on; their counts begin at 0."""
        self._figures, self._budget = figures, budget
        for one in figures():
            self._loads.labels(one.name)
            self._failures.labels(one.name)
            self._sleeps.labels(one.name)
            self._pulls.labels(one.name)
            self._pull_failures.labels(one.name)
            self._seconds.labels(one.name)
            for reason in Leaving:
                self._unloads.labels(one.name, reason.value)

    def sleep(self, name: str) -> None:
        """A model falls asleep."""
        self._sleeps.labels(name).inc()

    def pull(self, name: str) -> None:
        """A pull has begun."""
        self._pulls.labels(name).inc()

    def pull_failure(self, name: str) -> None:
        """A pull has failed."""
        self._pull_failures.labels(name).inc()

    def load(self, name: str) -> None:
        """A load has begun."""
        self._loads.labels(name).inc()

    def loaded(self, name: str, seconds: float) -> None:
        """A load has come to its end."""
        self._seconds.labels(name).observe(seconds)

    def failure(self, name: str) -> None:
        """A load has failed."""
        self._failures.labels(name).inc()

    def unload(self, name: str, why: Leaving) -> None:
        """A model leaves."""
        self._unloads.labels(name, why.value).inc()

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the names are known."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield states, and memory by device as it is reckoned with."""
        units = tuple(self._figures())
        states = GaugeMetricFamily(
            "weighbridge_model_state", "1 for the state that it is in.", labels=("model", "state")
        )
        budget = GaugeMetricFamily(
            "weighbridge_memory_budget_bytes", "Memory for models.", labels=("device",)
        )
        used = GaugeMetricFamily(
            "weighbridge_memory_reserved_bytes",
            "Estimated memory of models that are loaded, loading or unloading.",
            labels=("device",),
        )
        here, size = _pulled_families()
        # What is left of a unit of an earlier file comes behind the one that has its name now.
        for unit in {unit.name: unit for unit in reversed(units)}.values():
            if unit.coming is not None:
                here.add_metric((unit.name,), unit.coming.here_bytes)
                size.add_metric((unit.name,), unit.coming.size_bytes or 0)
            for state in State:
                states.add_metric((unit.name, state.value), float(unit.state is state))
        for device, most in self._budget.items():
            budget.add_metric((device,), most)
            taken = (unit.taken.get(device, 0) for unit in units if unit.state.occupies)
            used.add_metric((device,), sum(taken))
        yield from (states, budget, used, here, size)


def _pulled_families() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily("weighbridge_model_pull_here_bytes", "Bytes fetched.", labels=("model",)),
        GaugeMetricFamily(
            "weighbridge_model_pull_size_bytes", "Size, 0 if unknown.", labels=("model",)
        ),
    )
