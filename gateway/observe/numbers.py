"""Counters, gauges and histograms in plain numbers, told to Prometheus when it asks.

`prometheus_client` locks for every increment, and costs about a microsecond for each: more than
relaying an event may. One thread owns these, the event loop's, which also answers scrapes.

Owns: the numbers. Must not: be touched by another thread; choose names.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Number:
    """One counter or gauge of one set of labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Add."""
        self.value += amount

    def dec(self) -> None:
        """Take one away; gauges only."""
        self.value -= 1


class Distribution:
    """One histogram of one set of labels."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_all(self, values: Sequence[float]) -> None:
        """Count many values at once."""
        bounds, counts = self.bounds, self.counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self.sum += sum(values)


Child = TypeVar("Child", Number, Distribution)


class _Family(Collector, Generic[Child]):
    """All children of one name. `labels` makes one where there is none, and so shows it as 0."""

    def __init__(self, name: str, text: str, names: Sequence[str]) -> None:
        self._name = name
        self._text = text
        self._names = tuple(names)
        self._children: dict[tuple[str, ...], Child] = {}

    def labels(self, *values: str) -> Child:
        """Return the child of these label values, in the order of their names."""
        if len(values) != len(self._names):
            raise ValueError(f"{self._name} has the labels {', '.join(self._names)}")
        found = self._children.get(values)
        if found is None:
            found = self._children[values] = self._child()
        return found

    def forget(self, first: Sequence[str]) -> None:
        """Drop all children whose label values begin so."""
        end = len(first)
        for values in [values for values in self._children if values[:end] == tuple(first)]:
            del self._children[values]

    def describe(self) -> Iterable[Metric]:
        """Tell the registry the name, so that it stands once."""
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        """Yield the family as it is now."""
        raise NotImplementedError

    def _child(self) -> Child:
        raise NotImplementedError


class Counters(_Family[Number]):
    """Counters by labels; `_total` is added to the name."""

    def collect(self) -> Iterable[Metric]:
        """Yield the family as it is now."""
        family = CounterMetricFamily(self._name, self._text, labels=self._names)
        for values, child in self._children.items():
            family.add_metric(values, child.value)
        yield family

    def _child(self) -> Number:
        return Number()


class Gauges(_Family[Number]):
    """Gauges by labels."""

    def collect(self) -> Iterable[Metric]:
        """Yield the family as it is now."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._names)
        for values, child in self._children.items():
            family.add_metric(values, child.value)
        yield family

    def _child(self) -> Number:
        return Number()


class Distributions(_Family[Distribution]):
    """Histograms by labels, all with the same bounds."""

    def __init__(self, name: str, text: str, names: Sequence[str], bounds: Sequence[float]) -> None:
        super().__init__(name, text, names)
        self._bounds = tuple(map(float, bounds))

    def collect(self) -> Iterable[Metric]:
        """Yield the family as it is now, with running sums as Prometheus wants them."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._names)
        ends = [*map(floatToGoString, self._bounds), "+Inf"]
        for values, child in self._children.items():
            up_to, buckets = 0, []
            for end, count in zip(ends, child.counts, strict=True):
                up_to += count
                buckets.append((end, up_to))
            family.add_metric(values, buckets, child.sum)
        yield family

    def _child(self) -> Distribution:
        return Distribution(self._bounds)
