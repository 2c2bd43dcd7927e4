"""What is read at the moment of a scrape: states, rates, and the engines' own figures.

Owns: the names, helps and labels of these.
Must not: know where they come from.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

LABELS = ("model", "engine", "replica")


@dataclass(frozen=True, slots=True)
class ReplicaFigures:
    """What a scrape shows of one replica; the last three come from the engine, None if unknown."""

    model: str
    engine: str
    replica: str
    up: bool
    restarts: int
    circuit_open: bool = False
    circuit_openings: int = 0
    outstanding_tokens: int = 0
    requests_running: float | None = None
    requests_waiting: float | None = None
    kv_used_ratio: float | None = None


class Scrape(Collector):
    """`replicas` tells how each is doing, `rate` how many tokens a second it makes."""

    def __init__(
        self,
        replicas: Callable[[], Iterable[ReplicaFigures]],
        rate: Callable[[tuple[str, str, str]], float],
    ) -> None:
        self._replicas = replicas
        self._rate = rate

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the names are known, and describing would collect."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield one family for each figure."""
        up = _gauge("engine_up", "1 when the replica serves.")
        restarts = _counter("engine_restarts", "Times a replica was started again.")
        circuit = _gauge("circuit_open", "1 while a replica is left alone.")
        openings = _counter("circuit_openings", "Times that failures had it left alone.")
        outstanding = _gauge(
            "outstanding_tokens", "Tokens that requests given to the replica still ask of it."
        )
        rate = _gauge(
            "tokens_per_second", "Completion tokens per second over the last 10 s; 0 when idle."
        )
        own = {
            "requests_running": _gauge("engine_requests_running", "Sequences the engine runs."),
            "requests_waiting": _gauge("engine_requests_waiting", "Requests the engine holds."),
            "kv_used_ratio": _gauge("engine_kv_used_ratio", "KV cache in use, 0 to 1."),
        }
        for figures in self._replicas():
            labels = (figures.model, figures.engine, figures.replica)
            up.add_metric(labels, float(figures.up))
            restarts.add_metric(labels, figures.restarts)
            circuit.add_metric(labels, float(figures.circuit_open))
            openings.add_metric(labels, figures.circuit_openings)
            outstanding.add_metric(labels, figures.outstanding_tokens)
            rate.add_metric(labels, self._rate(labels))
            for name, family in own.items():
                value = getattr(figures, name)
                if value is not None:
                    family.add_metric(labels, value)
        yield from (up, restarts, circuit, openings, outstanding, rate, *own.values())


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"weighbridge_{name}", text, labels=LABELS)


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"weighbridge_{name}", text, labels=LABELS)
