"""The gateway's Prometheus metrics: where each number comes from.

Owns: the label children of each replica, and what is counted of no replica.
Must not: let a name nobody configured become a label.
"""

import time
from collections.abc import Callable, Iterable
from enum import StrEnum

from gateway.domain import Outcome
from gateway.observe.families import Families
from gateway.observe.replica_metrics import ReplicaMetrics, WaitMetrics
from gateway.observe.scrape import ReplicaFigures, Scrape

# Servers that DNS names come and go, under other addresses each time.
_MOST_GONE = 64


class Reload(StrEnum):
    """What came of reading the file again."""

    IN_FORCE = "in_force"
    REFUSED = "refused"


class Metrics(Families):
    """All metrics of one gateway process."""

    def __init__(self) -> None:
        super().__init__()
        self._children: dict[tuple[str, str, str], ReplicaMetrics] = {}
        self._gone: dict[tuple[str, str, str], None] = {}  # the newest last
        for reload in Reload:
            self.reloads.labels(reload.value)

    def show(self, replicas: Callable[[], Iterable[ReplicaFigures]]) -> None:
        """Add to each scrape what `replicas` tells at that moment. Called once."""
        self.registry.register(Scrape(replicas, self._rate))

    def of(self, model: str, engine: str, replica: str) -> ReplicaMetrics:
        """Return the metrics of a configured replica; the names come from configuration only."""
        labels = (model, engine, replica)
        self._gone.pop(labels, None)
        found = self._children.get(labels)
        if found is None:
            found = self._children[labels] = ReplicaMetrics(self, labels)
        return found

    def gone(self, model: str, engine: str, replica: str) -> None:
        """Keep the figures of a replica that is no more until many others have gone as well."""
        self._gone[model, engine, replica] = None
        while len(self._gone) > _MOST_GONE:
            oldest = next(iter(self._gone))
            del self._gone[oldest]
            self._children.pop(oldest, None)
            self.forget(oldest)

    def waits_of(self, model: str) -> WaitMetrics:
        """Return the figures of those who wait for a configured model."""
        return WaitMetrics(self, model)

    def _rate(self, labels: tuple[str, str, str]) -> float:
        child = self._children.get(labels)
        return child.throughput.per_second(time.monotonic()) if child else 0.0

    def may_shadow(self, model: str) -> None:
        """Let the figures of copies for a configured model begin at 0."""
        self.shadow_duration.labels(model)
        for outcome in Outcome:
            self.shadows.labels(model, outcome.value)

    def shadowed(self, model: str, outcome: Outcome, seconds: float | None) -> None:
        """A copy for a configured model has ended; without `seconds` it was never begun."""
        self.shadows.labels(model, outcome.value).inc()
        if seconds is not None:
            self.shadow_duration.labels(model).observe(seconds)

    def counted(self, model: str, *, told: bool) -> None:
        """A configured model's engine was asked for the tokens of a prompt."""
        self.prompt_counts.labels(model, "yes" if told else "no").inc()

    def reloaded(self, outcome: Reload) -> None:
        """The file has been read again."""
        self.reloads.labels(outcome.value).inc()
        self.config_current.value = outcome is Reload.IN_FORCE
