"""One replica as the gateway sees it, and the lease that a request has on it.

Owns: the condition, the in-flight count, the begin and the end of each use.
Must not: probe or start anything; `gateway.fleet.care` and `engines.process` do.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from engines.kinds import ReplicaPlan
from engines.protocol.answers import Usage, UseTold
from gateway.domain import Outcome
from gateway.fleet.balance import NOTHING, Load, Offer
from gateway.fleet.breaker import Breaker, BreakerRules
from gateway.fleet.difference import name_of
from gateway.fleet.queue import ModelQueue
from gateway.observe.account import Account
from gateway.observe.engine_figures import EngineFigures
from gateway.observe.replica_metrics import ReplicaMetrics
from gateway.observe.scrape import ReplicaFigures


class Condition(StrEnum):
    """How a replica is doing; `hopeful` ones may serve soon without anybody's help.

    | condition | means | hopeful |
    |---|---|---|
    | starting | a process that loads, or a server not looked at yet | yes |
    | ready | takes requests | |
    | backing_off | died; will be started again | yes |
    | down | a remote server that does not answer; looked at again and again | |
    | draining | ends when its requests have ended | |
    | failed | cannot start; the reason says why | |
    | stopped | ended on purpose | |
    | sleeping | runs, and has given its GPU memory up | |
    | absent | its weights are not on this machine | |
    | pulling | its weights are on their way | |
    """

    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing_off"
    DOWN = "down"
    DRAINING = "draining"
    FAILED = "failed"
    STOPPED = "stopped"
    SLEEPING = "sleeping"
    ABSENT = "absent"
    PULLING = "pulling"

    @property
    def hopeful(self) -> bool:
        """Say whether waiting a moment may help."""
        return self in (Condition.STARTING, Condition.BACKING_OFF)


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """A replica at one moment, for people and dashboards."""

    model: str
    engine: str
    replica: str
    state: str
    reason: str
    restarts: int
    in_flight: int


class Replica:
    """Mutable state of one replica; changed only on the event loop's thread.

    `metrics` are those of each name that it serves.
    """

    def __init__(
        self, plan: ReplicaPlan, metrics: Mapping[str, ReplicaMetrics], rules: BreakerRules
    ) -> None:
        self.plan = plan
        self.metrics = metrics
        self.name = name_of(plan)
        self.condition = Condition.STARTING
        self._starting_since_s: float | None = None
        # How long its last start took that was seen from its beginning.
        self.start_s: float | None = None
        self.reason = ""
        self.restarts = 0
        self.lives = 0  # how often it has become ready
        self.slept = False  # in its present life: then what it takes is not what a load takes
        self.in_flight = 0
        self.outstanding_tokens = 0
        self.last_used = 0
        # Its last request failed there: others are preferred until one succeeds or it is looked at.
        self.suspect = False
        # It can be asked what came of a request that was cut off; servers elsewhere say so.
        self.tells_uses = plan.launch is not None and plan.uses_path is not None
        self.breaker = Breaker(rules)
        self.figures = EngineFigures()
        self._unused: asyncio.Event | None = None
        self.on_idle: Callable[[], None] | None = None  # told when its last request is over

    def follow(self, plan: ReplicaPlan, rules: BreakerRules) -> None:
        """Go by another plan for what runs: its process and its address stay."""
        self.plan = replace(plan, address=self.plan.address, launch=self.plan.launch)
        self.breaker.follow(rules)

    def released(self) -> None:
        """Note that a request is over."""
        self.in_flight -= 1
        if self.in_flight:
            return
        if self._unused is not None:
            self._unused.set()
        if self.on_idle is not None:
            self.on_idle()

    async def unused(self) -> None:
        """Wait until no request is on it. For one that gets no new ones."""
        if self.in_flight:
            self._unused = asyncio.Event()
            await self._unused.wait()

    @property
    def reader(self) -> str:
        """The name under which it has read prompts: started again, it remembers none."""
        return f"{self.name}#{self.lives}"

    def offer(self, seen: float = 0.0) -> Offer:
        """Return what it is worth to a request of which it has read a share."""
        return Offer(
            self.suspect,
            self.outstanding_tokens,
            self.in_flight,
            self.plan.capacity,
            self.last_used,
            seen,
        )

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self.condition is Condition.READY

    def entered(self, condition: Condition, now_s: float) -> None:
        """Note its condition, and how long it took to start when it has."""
        since_s = self._starting_since_s
        if condition is Condition.STARTING:
            self._starting_since_s = now_s if since_s is None else since_s
        else:
            self._starting_since_s = None
        if condition is Condition.READY and since_s is not None:
            self.start_s = now_s - since_s
        self.lives += condition is Condition.READY and not self.ready
        self.condition = condition

    def view(self) -> ReplicaView:
        """Return how it is doing now."""
        plan = self.plan
        return ReplicaView(
            plan.model,
            plan.engine,
            plan.replica,
            self.condition.value,
            self.reason,
            self.restarts,
            self.in_flight,
        )

    def scrape(self, now_s: float) -> ReplicaFigures:
        """Return what a scrape shows of it."""
        # What an engine told before it died says nothing of now.
        plan, own = self.plan, self.figures if self.ready else EngineFigures()
        return ReplicaFigures(
            model=plan.model,
            engine=plan.engine,
            replica=plan.replica,
            up=self.ready,
            restarts=self.restarts,
            circuit_open=not self.breaker.admits(now_s),
            circuit_openings=self.breaker.openings,
            outstanding_tokens=self.outstanding_tokens,
            own=own,
        )


class Lease:
    """One request's use of a replica, from `Fleet.lease` until `end`, which is idempotent.

    `model` is the one of the served names that was asked for; `use` is the name under which the
    engine can be asked what came of it, where it can be. Until its end the replica has its
    tokens outstanding: with its first event those of the prompt no longer, with each one less.
    """

    __slots__ = (
        "_answer_tokens",
        "_begun_s",
        "_ended",
        "_hedged",
        "_probe",
        "_queue",
        "account",
        "cancelled_as",
        "life",
        "metrics",
        "model",
        "outstanding_tokens",
        "queued_s",
        "replica",
        "resent",
        "use",
    )

    def __init__(
        self,
        replica: Replica,
        model: str,
        account: Account,
        queued_s: float,
        queue: ModelQueue | None = None,
        *,
        load: Load = NOTHING,
    ) -> None:
        self._queue = queue
        self._begun_s = account.clock() if queue is not None else 0.0
        self.replica = replica
        self.life = replica.lives  # which of its lives the request was given to
        self.model = model
        self.metrics = replica.metrics[model]  # the figures of this model on this replica
        self.account = account
        self.queued_s = queued_s
        self._ended = False
        self.use: str | None = None
        self.resent = False  # it may have been begun twice under that name
        self.cancelled_as = Outcome.CANCELLED  # or hedged: another replica was quicker
        account.on_token = self._delivered
        replica.in_flight += 1
        self._answer_tokens = load.answer_tokens
        self.outstanding_tokens = load.prompt_tokens + load.answer_tokens
        replica.outstanding_tokens += self.outstanding_tokens
        self._probe = replica.breaker.begin()
        self.metrics.began(queued_s)

    def _delivered(self, events: int) -> None:
        """Note that so many more events have come; one is about a token."""
        self.metrics.tokens_now(events)
        if self._probe:
            self._probe = False
            self.replica.breaker.answers()
        self._owe(max(0, min(self.outstanding_tokens, self._answer_tokens) - events))

    def _owe(self, tokens: int) -> None:
        self.replica.outstanding_tokens += tokens - self.outstanding_tokens
        self.outstanding_tokens = tokens

    def end(self, outcome: Outcome, *, counted: bool = True) -> None:
        """Give the replica back and publish the account. Only the first call counts.

        Where it is not `counted` yet, the account's tokens wait for `count`.
        """
        if self._ended:
            return
        self._ended = True
        self._hedged = outcome is Outcome.HEDGED
        account, replica = self.account, self.replica
        account.on_token = None  # which would keep both from being freed at once
        self._owe(0)
        replica.released()
        now_s = account.clock()
        if self._queue is not None:
            self._queue.ended(now_s - self._begun_s)
        replica.breaker.end(outcome, now_s, probe=self._probe)
        if outcome is Outcome.OK:
            replica.suspect = False
        self.metrics.ended(account, outcome, queued_s=self.queued_s)
        if counted:
            self._publish()

    def rest(self, wait_s: float) -> None:
        """Let nobody else through to the replica for as long as it has asked for."""
        self.replica.breaker.rest(wait_s, self.account.clock())

    def count(self, told: UseTold | None) -> None:
        """Publish the tokens of what was cut off: as the engine told, or else by its events."""
        if told is not None:
            prompt, completion = told.prompt_tokens, told.completion_tokens
            self.account.usage = Usage(prompt, completion, prompt + completion)
            self.metrics.undelivered(completion - told.delivered_tokens)
        self._publish()

    def _publish(self) -> None:
        self.metrics.count(self.account)
        if self._hedged:
            self.metrics.wasted(self.account)
