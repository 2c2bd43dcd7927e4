"""The metrics of one model on one replica, and of those who wait for a model.

Owns: what a request counts for, from its beginning to its end.
Must not: let a name nobody configured become a label.
"""

import time

from gateway.domain import Fallback, Hedged, Outcome, Refusal
from gateway.observe.account import Account
from gateway.observe.families import Families
from gateway.observe.throughput import Throughput

# How a try may have ended that another follows.
RETRIED = (Outcome.ENGINE_ERROR, Outcome.TIMEOUT, Outcome.UNAVAILABLE, Outcome.OVERLOADED)


class ReplicaMetrics:
    """The metrics of one model on one replica, label children kept (a lookup costs as much)."""

    def __init__(self, metrics: Families, labels: tuple[str, str, str]) -> None:
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
        self._estimated.inc(account.estimated_tokens)
        completion_tokens = account.completion_tokens
        self._completion_tokens.inc(completion_tokens)
        # Most events were counted as they came; what usage says beyond them is settled now.
        self.tokens_now(completion_tokens - account.told_events)


class WaitMetrics:
    """The figures of those who wait for one model that has a limit."""

    def __init__(self, metrics: Families, model: str) -> None:
        self.waiting = metrics.waiting.labels(model)
        self._refusals = {
            reason: metrics.refusals.labels(model, reason.value) for reason in Refusal
        }

    def refused(self, reason: Refusal) -> None:
        """A request has got no place."""
        self._refusals[reason].inc()
