"""All figures in Prometheus's text format.

Owns: that they come a name at a time, as those of hundreds of models are megabytes.
Must not: know a name.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest


class _One(CollectorRegistry):
    """A registry of one family that has been collected."""

    def __init__(self, family: Metric) -> None:
        super().__init__()
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """Yield it."""
        yield self._family


def exposed(registry: CollectorRegistry) -> Iterator[bytes]:
    """Yield what a registry holds, each name whole; joined it is what a scrape wants."""
    for family in registry.collect():
        yield generate_latest(_One(family))
