"""The names, labels and buckets of the gateway's Prometheus metrics.

Owns: one registry, and a family for each name.
Must not: know when anything is counted.
"""

from collections.abc import Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry

from gateway.observe.numbers import Counters, Distributions, Gauges
from gateway.observe.scrape import LABELS

_Family = TypeVar("_Family", Counters, Distributions)
_SECONDS_LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SECONDS_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5)
_SECONDS_SHORT = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1)


class Families:
    """The families of one gateway process, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._of_replicas: list[Counters | Gauges | Distributions] = []
        outcome_labels = (*LABELS, "outcome")
        self.requests = self._counter("requests", "Finished requests.", outcome_labels)
        self.retries = self._counter(
            "retries",
            "Requests retried here after an attempt elsewhere failed, by how it failed.",
            (*LABELS, "reason"),
        )
        self.fallbacks = self._counter(
            "fallbacks",
            "Requests answered here although another model came first, by reason.",
            (*LABELS, "reason"),
        )
        self.breaks = self._counter("stream_breaks", "Streams that broke here.")
        self.continuations = self._counter(
            "continuations", "Streams completed here after another replica broke."
        )
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens, as reported.")
        self.cached_tokens = self._counter(
            "cached_prompt_tokens", "Prompt tokens found in the engines' prefix caches."
        )
        self.completion_tokens = self._counter("completion_tokens", "Completion tokens generated.")
        self.hedges = self._counter(
            "hedges",
            "Requests that were late elsewhere and sent here too, by whether that was faster.",
            (*LABELS, "result"),
        )
        self.hedged_tokens = self._counter(
            "hedged_completion_tokens",
            "Completion tokens of requests cut off because another replica was faster.",
        )
        self.undelivered_tokens = self._counter(
            "completion_tokens_undelivered",
            "Completion tokens generated but not sent, where the engine can tell.",
        )
        self.estimated_tokens = self._counter(
            "completion_tokens_estimated",
            "Completion tokens estimated from events, without the engine's own count.",
        )
        self.first_token = self._histogram(
            "time_to_first_token_seconds",
            "TTFT of streamed requests: arrival to the first event with content.",
            _SECONDS_LONG,
        )
        self.gap = self._histogram(
            "inter_token_latency_seconds",
            "ITL of streamed requests: time between events with content.",
            _SECONDS_TOKEN,
        )
        self.duration = self._histogram(
            "request_duration_seconds", "Arrival to the answer's last byte.", _SECONDS_LONG
        )
        self.queue = self._histogram("queue_seconds", "Time queued in the gateway.", _SECONDS_LONG)
        self.overhead = self._histogram(
            "overhead_seconds",
            "The gateway's own work before the engine: arrival to forwarding, less queueing.",
            _SECONDS_SHORT,
        )
        self.shadows = self._counter(
            "shadow_requests",
            "Finished copies of requests for a second model; their answers are discarded.",
            ("model", "outcome"),
        )
        self.shadow_duration = self._histogram(
            "shadow_duration_seconds",
            "From sending a copy to the last byte of its answer.",
            _SECONDS_LONG,
            ("model",),
        )
        self.prompt_counts = self._counter(
            "prompt_counts",
            "Times a model's engine was asked to count a prompt's tokens, by whether it did.",
            ("model", "told"),
        )
        self.refusals = self._counter(
            "queue_refusals",
            "Requests that had to wait for the model and were refused.",
            ("model", "reason"),
        )
        self.waiting = Gauges(
            "weighbridge_requests_waiting",
            "Requests queued in the gateway for the model.",
            ("model",),
        )
        self.registry.register(self.waiting)
        self.reloads = self._counter(
            "config_reloads", "Reloads of the file, by result.", ("result",)
        )
        current = Gauges(
            "weighbridge_config_current",
            "1 while the file, as last read, is in force; 0 when it was rejected.",
            (),
        )
        self.registry.register(current)
        self.config_current = current.labels()
        self.config_current.value = 1
        self.in_flight = Gauges(
            "weighbridge_requests_in_flight", "Requests given to a replica, not finished.", LABELS
        )
        self.registry.register(self.in_flight)
        self._of_replicas.append(self.in_flight)

    def forget(self, replica: tuple[str, str, str]) -> None:
        """Drop the series of one model on one replica."""
        for family in self._of_replicas:
            family.forget(replica)

    def _counter(self, name: str, text: str, labels: Sequence[str] = LABELS) -> Counters:
        counters = Counters(f"weighbridge_{name}", text, labels)
        return self._known(counters, labels)

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = LABELS
    ) -> Distributions:
        histograms = Distributions(f"weighbridge_{name}", text, labels, buckets)
        return self._known(histograms, labels)

    def _known(self, family: _Family, labels: Sequence[str]) -> _Family:
        self.registry.register(family)
        if tuple(labels[: len(LABELS)]) == LABELS:
            self._of_replicas.append(family)
        return family
