"""The figures of the processes that relay, where the gateway has more than one.

Owns: the names and helps of these. Must not: know processes.
"""

from prometheus_client import CollectorRegistry

from gateway.observe.numbers import Counters, Gauges


class ProcessMetrics:
    """Told as it happens; nothing is shown by a gateway of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        up = Gauges("weighbridge_gateway_workers", "Gateway workers that accept connections.", ())
        ended = Counters(
            "weighbridge_gateway_worker_restarts",
            "Gateway workers that ended and were replaced.",
            (),
        )
        for family in (up, ended):
            registry.register(family)
        self.up, self.restarts = up.labels(), ended.labels()
