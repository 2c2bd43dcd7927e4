"""What is read at the moment of a scrape: states, rates, and the engines' own figures.

Owns: the names, helps and labels of these.
Must not: know where they come from.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from gateway.observe.engine_figures import EngineFigures

LABELS = ("model", "engine", "replica")
_Labels = tuple[str, str, str]

_OWN_GAUGES = {
    "running": ("engine_requests_running", "Sequences that the engine is running."),
    "waiting": ("engine_requests_waiting", "Requests queued in the engine."),
    "kv_used_ratio": ("engine_kv_used_ratio", "KV cache in use, 0 to 1."),
}
_OWN_COUNTERS = {
    "prompt_tokens": ("engine_prompt_tokens", "Prompt tokens, by the engine's own count."),
    "cached_tokens": ("engine_cached_tokens", "Prompt tokens from its prefix cache."),
    "completion_tokens": ("engine_completion_tokens", "Tokens generated, by its own count."),
}
_OWN_DURATIONS = {
    "first_token": ("engine_time_to_first_token_seconds", "TTFT by the engine's own clock."),
    "gap": ("engine_inter_token_latency_seconds", "ITL by the engine's own clock."),
}


@dataclass(frozen=True, slots=True)
class ReplicaFigures:
    """What a scrape shows of one replica; `own` is what its engine says of itself."""

    model: str
    engine: str
    replica: str
    up: bool
    restarts: int
    circuit_open: bool = False
    circuit_openings: int = 0
    outstanding_tokens: int = 0
    own: EngineFigures = field(default_factory=EngineFigures)


class Scrape(Collector):
    """`replicas` tells how each is doing, `rate` how many tokens a second it makes."""

    def __init__(
        self,
        replicas: Callable[[], Iterable[ReplicaFigures]],
        rate: Callable[[_Labels], float],
    ) -> None:
        self._replicas = replicas
        self._rate = rate

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the names are known, and describing would collect."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield one family for each figure."""
        up = _gauge("engine_up", "1 while the replica accepts requests.")
        restarts = _counter("engine_restarts", "Restarts of the replica.")
        circuit = _gauge("circuit_open", "1 while a replica is out of rotation.")
        openings = _counter("circuit_openings", "Times failures took it out of rotation.")
        outstanding = _gauge(
            "outstanding_tokens", "Estimated tokens left to process for requests in flight."
        )
        rate = _gauge(
            "tokens_per_second", "Completion tokens per second over the last 10 s; 0 when idle."
        )
        told: list[tuple[_Labels, EngineFigures]] = []
        for figures in self._replicas():
            labels = (figures.model, figures.engine, figures.replica)
            up.add_metric(labels, float(figures.up))
            restarts.add_metric(labels, figures.restarts)
            circuit.add_metric(labels, float(figures.circuit_open))
            openings.add_metric(labels, figures.circuit_openings)
            outstanding.add_metric(labels, figures.outstanding_tokens)
            rate.add_metric(labels, self._rate(labels))
            told.append((labels, figures.own))
        yield from (up, restarts, circuit, openings, outstanding, rate)
        yield from _own(told)


def _own(told: Iterable[tuple[_Labels, EngineFigures]]) -> Iterable[Metric]:
    """Yield what engines say of themselves; one that does not say a figure has no such series."""
    gauges = {name: _gauge(*words) for name, words in _OWN_GAUGES.items()}
    counters = {name: _counter(*words) for name, words in _OWN_COUNTERS.items()}
    durations = {name: _summary(*words) for name, words in _OWN_DURATIONS.items()}
    plain: dict[str, GaugeMetricFamily | CounterMetricFamily] = {**gauges, **counters}
    for labels, figures in told:
        for name, family in plain.items():
            value = getattr(figures, name)
            if value is not None:
                family.add_metric(labels, value)
        for name, summary in durations.items():
            spent = getattr(figures, name)
            if spent is not None:
                summary.add_metric(labels, count_value=spent.count, sum_value=spent.sum_s)
    yield from (*gauges.values(), *counters.values(), *durations.values())


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"weighbridge_{name}", text, labels=LABELS)


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"weighbridge_{name}", text, labels=LABELS)


def _summary(name: str, text: str) -> SummaryMetricFamily:
    return SummaryMetricFamily(f"weighbridge_{name}", text, labels=LABELS)
