"""The gateway's Prometheus metrics: names, labels, and where each number comes from.

Owns: one registry and the label children of each replica.
Must not: let a name nobody configured become a label.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from prometheus_client import CollectorRegistry

from gateway.domain import Fallback, Hedged, Outcome, Refusal
from gateway.observe.account import Account
from gateway.observe.numbers import Counters, Distributions, Gauges
from gateway.observe.scrape import LABELS, ReplicaFigures, Scrape
from gateway.observe.throughput import Throughput

# How a try may have ended that another follows.
RETRIED = (Outcome.ENGINE_ERROR, Outcome.TIMEOUT, Outcome.UNAVAILABLE, Outcome.OVERLOADED)

_SECONDS_LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SECONDS_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5)
_SECONDS_SHORT = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1)


class Reload(StrEnum):
    """What came of reading the file again."""

    IN_FORCE = "in_force"
    REFUSED = "refused"


class ReplicaMetrics:
    """The metrics of one model on one replica, label children kept (a lookup costs as much)."""

    def __init__(self, metrics: "Metrics", labels: tuple[str, str, str]) -> None:
        self._metrics = metrics
        self._labels = labels
        self._requests = {
            outcome: metrics.requests.labels(*labels, outcome.value) for outcome in Outcome
        }
        self._prompt_tokens = metrics.prompt_tokens.labels(*labels)
        self._cached_tokens = metrics.cached_tokens.labels(*labels)
        self._completion_tokens = metrics.completion_tokens.labels(*labels)
        self._undelivered = metrics.undelivered_tokens.labels(*labels)
        self._estimated = metrics.estimated_tokens.labels(*labels)
        self._first_token = metrics.first_token.labels(*labels)
        self._gap = metrics.gap.labels(*labels)
        self._duration = metrics.duration.labels(*labels)
        self._queue = metrics.queue.labels(*labels)
        self._overhead = metrics.overhead.labels(*labels)
        self._in_flight = metrics.in_flight.labels(*labels)
        self._breaks = metrics.breaks.labels(*labels)
        self._continuations = metrics.continuations.labels(*labels)
        self._retries = {
            outcome: metrics.retries.labels(*labels, outcome.value) for outcome in RETRIED
        }
        self._fallbacks = {
            reason: metrics.fallbacks.labels(*labels, reason.value) for reason in Fallback
        }
        self._hedges = {result: metrics.hedges.labels(*labels, result.value) for result in Hedged}
        self._hedged_tokens = metrics.hedged_tokens.labels(*labels)
        self.throughput = Throughput()

    def began(self, queued_s: float) -> None:
        """A request has been given to this replica after waiting `queued_s` seconds."""
        self._in_flight.inc()
        self._queue.observe(queued_s)

    def turned_away(self, outcome: Outcome) -> None:
        """A request for this model has found no replica that is up, or no room."""
        self._requests[outcome].inc()

    def tried_after(self, outcome: Outcome) -> None:
        """A request has come here after a try that ended so, before its client had a byte."""
        if outcome in self._retries:  # a prompt that was too long is a fallback
            self._retries[outcome].inc()

    def fell_back(self, reason: Fallback) -> None:
        """A request has been answered here though another model came before this one."""
        self._fallbacks[reason].inc()

    def hedged(self, result: Hedged) -> None:
        """A request that was late elsewhere has been sent here too, and is over."""
        self._hedges[result].inc()

    def wasted(self, account: Account) -> None:
        """A request was cut off here because another replica was quicker."""
        self._hedged_tokens.inc(account.completion_tokens)

    def broke(self) -> None:
        """A stream has broken here in the middle."""
        self._breaks.inc()

    def tokens_now(self, tokens: int) -> None:
        """Completion tokens have arrived just now."""
        self.throughput.add(tokens, time.monotonic())

    def ended(self, account: Account, outcome: Outcome, *, queued_s: float) -> None:
        """A request is over: publish its times. Called once for each `began`."""
        now_s = account.clock()
        self._in_flight.dec()
        self._requests[outcome].inc()
        if account.goes_on and outcome is Outcome.OK:
            self._continuations.inc()
        self._duration.observe(max(0.0, now_s - account.arrived_s))
        if account.first_token_s is not None and not account.goes_on:
            self._first_token.observe(account.first_token_s - account.arrived_s)
        if account.gaps_s:
            self._gap.observe_all(account.gaps_s)
        if account.forwarded_s is not None and not account.retried:
            self._overhead.observe(max(0.0, account.forwarded_s - account.arrived_s - queued_s))

    def undelivered(self, tokens: int) -> None:
        """The engine has told of tokens that it generated and no longer sent."""
        self._undelivered.inc(max(0, tokens))

    def count(self, account: Account) -> None:
        """Publish the tokens of a request that is over. Called once, with `ended` or later."""
        if account.usage is not None:
            self._prompt_tokens.inc(account.usage.prompt_tokens)
            if account.usage.prompt_tokens_details is not None:
                self._cached_tokens.inc(account.usage.prompt_tokens_details.cached_tokens or 0)
        else:
            self._estimated.inc(account.content_events)
        completion_tokens = account.completion_tokens
        self._completion_tokens.inc(completion_tokens)
        # Most events were counted as they came; what usage says beyond them is settled now.
        self.tokens_now(completion_tokens - account.told_events)


class WaitMetrics:
    """The figures of those who wait for one model that has a limit."""

    def __init__(self, metrics: "Metrics", model: str) -> None:
        self.waiting = metrics.waiting.labels(model)
        self._refusals = {
            reason: metrics.refusals.labels(model, reason.value) for reason in Refusal
        }

    def refused(self, reason: Refusal) -> None:
        """A request has got no place."""
        self._refusals[reason].inc()


class Metrics:
    """All metrics of one gateway process, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._children: dict[tuple[str, str, str], ReplicaMetrics] = {}
        outcome_labels = (*LABELS, "outcome")
        self.requests = self._counter("requests", "Requests that have ended.", outcome_labels)
        self.retries = self._counter(
            "retries",
            "Requests that came here after a try elsewhere had failed, by how it failed.",
            (*LABELS, "reason"),
        )
        self.fallbacks = self._counter(
            "fallbacks",
            "Requests answered here though another model came first, by why it did not.",
            (*LABELS, "reason"),
        )
        self.breaks = self._counter("stream_breaks", "Streams that broke here in the middle.")
        self.continuations = self._counter(
            "continuations", "Streams brought to their end after another replica broke."
        )
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens, as engines report.")
        self.cached_tokens = self._counter(
            "cached_prompt_tokens", "Prompt tokens that engines found in their caches."
        )
        self.completion_tokens = self._counter("completion_tokens", "Completion tokens generated.")
        self.hedges = self._counter(
            "hedges",
            "Requests that were late elsewhere and sent here too, by whether that was quicker.",
            (*LABELS, "result"),
        )
        self.hedged_tokens = self._counter(
            "hedged_completion_tokens",
            "Completion tokens of requests that were cut off as another replica was quicker.",
        )
        self.undelivered_tokens = self._counter(
            "completion_tokens_undelivered",
            "Completion tokens that were generated and not sent, as engines that can tell do.",
        )
        self.estimated_tokens = self._counter(
            "completion_tokens_estimated",
            "Completion tokens counted as events, for want of the engine's own count.",
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
        self.queue = self._histogram(
            "queue_seconds", "Waiting in the gateway for a replica.", _SECONDS_LONG
        )
        self.overhead = self._histogram(
            "overhead_seconds",
            "The gateway's own time before the engine: arrival to forwarding, less queueing.",
            _SECONDS_SHORT,
        )
        self.shadows = self._counter(
            "shadow_requests",
            "Copies of requests for a second model that have ended; their answers are dropped.",
            ("model", "outcome"),
        )
        self.shadow_duration = self._histogram(
            "shadow_duration_seconds",
            "Sending of a copy to its answer's last byte.",
            _SECONDS_LONG,
            ("model",),
        )
        self.prompt_counts = self._counter(
            "prompt_counts",
            "Times a model's engine was asked for the tokens of a prompt, by whether it told them.",
            ("model", "told"),
        )
        self.refusals = self._counter(
            "queue_refusals",
            "Requests that had to wait for the model and were refused.",
            ("model", "reason"),
        )
        self.waiting = Gauges(
            "weighbridge_requests_waiting",
            "Requests that wait in the gateway for a place at the model.",
            ("model",),
        )
        self.registry.register(self.waiting)
        self.reloads = self._counter(
            "config_reloads", "Times the file was read again, by what came of it.", ("result",)
        )
        for reload in Reload:
            self.reloads.labels(reload.value)
        current = Gauges(
            "weighbridge_config_current",
            "1 when the file, as it was last read, is in force; 0 when it was refused.",
            (),
        )
        self.registry.register(current)
        self.config_current = current.labels()
        self.config_current.value = 1
        self.in_flight = Gauges(
            "weighbridge_requests_in_flight", "Requests given to a replica and not ended.", LABELS
        )
        self.registry.register(self.in_flight)

    def show(self, replicas: Callable[[], Iterable[ReplicaFigures]]) -> None:
        """Add to each scrape what `replicas` tells at that moment. Called once."""
        self.registry.register(Scrape(replicas, self._rate))

    def of(self, model: str, engine: str, replica: str) -> ReplicaMetrics:
        """Return the metrics of a configured replica; the names come from configuration only."""
        labels = (model, engine, replica)
        found = self._children.get(labels)
        if found is None:
            found = self._children[labels] = ReplicaMetrics(self, labels)
        return found

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

    def _counter(self, name: str, text: str, labels: Sequence[str] = LABELS) -> Counters:
        counters = Counters(f"weighbridge_{name}", text, labels)
        self.registry.register(counters)
        return counters

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = LABELS
    ) -> Distributions:
        histograms = Distributions(f"weighbridge_{name}", text, labels, buckets)
        self.registry.register(histograms)
        return histograms
