"""All replicas: which one a request gets, how each model is doing, who waits.

Owns: the replicas by model, leases, waking those who wait for a change.
Must not: choose a model; talk to an engine (`gateway.fleet.care` does).
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from engines.kinds import ReplicaPlan
from gateway.domain import ModelStatus, Outcome
from gateway.fleet.balance import NOTHING, Load, best
from gateway.fleet.breaker import BreakerRules
from gateway.fleet.difference import name_of
from gateway.fleet.prefixes import Prefixes
from gateway.fleet.queue import Limits, ModelQueue
from gateway.fleet.replica import Condition, Lease, Replica, ReplicaView
from gateway.fleet.statuses import Statuses
from gateway.observe.account import Account
from gateway.observe.metrics import Metrics
from gateway.observe.scrape import ReplicaFigures

_TRIED_S = 1.0


class Fleet:
    """Decides synchronously and does no I/O; used from the event loop's thread only."""

    def __init__(
        self,
        plans: Iterable[ReplicaPlan],
        metrics: Metrics,
        rules: BreakerRules | None = None,
        clock: Callable[[], float] = time.monotonic,
        limits: Mapping[str, Limits] | None = None,
        *,
        affine: bool = True,
    ) -> None:
        """Have these replicas; `affine`: who has read a prompt's beginning is preferred for it."""
        self.affine = affine
        self._prefixes = Prefixes()
        self._queues = {model: ModelQueue(bound) for model, bound in (limits or {}).items()}
        self.waits = {model: metrics.waits_of(model) for model in self._queues}
        self._clock = clock
        self._all: list[Replica] = []
        self._replicas: dict[str, list[Replica]] = {}  # by the names that they serve
        self._uses = 0
        self._change = asyncio.Event()
        self._metrics = metrics
        # Models that admit only who has waited since before a moment: others wait for their room.
        self._held: Mapping[str, float] = {}
        self.on_update: Callable[[Replica], None] | None = None
        # About how soon a model serves that is loaded when somebody asks for it.
        self.coming: Callable[[str], float | None] = lambda _: None
        for plan in plans:
            self._add(self._new(plan, rules or BreakerRules()))

    def __iter__(self) -> Iterator[Replica]:
        """Yield every replica, the models in the file's order."""
        yield from self._all

    def change(
        self,
        plans: Iterable[ReplicaPlan],
        kept: Collection[str],
        rules: BreakerRules,
        limits: Mapping[str, Limits],
    ) -> None:
        """Have these replicas and no others; those that are `kept`, by name, go on by new plans.

        Leases on the others stay good. Whoever waits for a replica looks again; who waits for a
        place does so where the limit is gone. What ran before there was one takes no place.
        """
        for model in self._queues.keys() - limits.keys():
            self._queues.pop(model).follow(None)
        for model, bound in limits.items():
            if model in self._queues:
                self._queues[model].follow(bound)
            else:
                self._queues[model] = ModelQueue(bound)
                self.waits[model] = self._metrics.waits_of(model)
        before = {replica.name: replica for replica in self._all}
        self._all, self._replicas = [], {}
        for plan in plans:
            replica = before.get(name_of(plan)) if name_of(plan) in kept else None
            if replica is None:
                replica = self._new(plan, rules)
            else:
                replica.follow(plan, rules)
            self._add(replica)
        here = {labels for replica in self._all for labels in _labels(replica.plan)}
        for replica in before.values():
            for labels in _labels(replica.plan):
                if labels not in here:
                    self._metrics.gone(*labels)
        self.wake()

    def hold(self, held: Mapping[str, float]) -> None:
        """Admit to these models only who has waited since before the moment given for each."""
        for model in self._held.keys() | held.keys():
            queue = self._queues.get(model)
            if queue is not None:
                queue.hold(held.get(model, math.inf))
        self._held = held

    @property
    def held(self) -> Mapping[str, float]:
        """The models that admit only who has waited since before a moment, with that."""
        return self._held

    def counts_waits(self, model: str) -> None:
        """Have figures of those who wait for a model, though it may have no limit."""
        if model not in self.waits:
            self.waits[model] = self._metrics.waits_of(model)

    def named(self, name: str) -> Replica | None:
        """Return the replica of this name, if there is one."""
        return next((replica for replica in self._all if replica.name == name), None)

    def _new(self, plan: ReplicaPlan, rules: BreakerRules) -> Replica:
        names = {labels[0]: self._metrics.of(*labels) for labels in _labels(plan)}
        replica = Replica(plan, names, rules)
        if plan.problem is not None:
            replica.condition, replica.reason = Condition.FAILED, plan.problem
        return replica

    def _add(self, replica: Replica) -> None:
        self._all.append(replica)
        for name in replica.plan.served:
            self._replicas.setdefault(name, []).append(replica)

    def wake(self) -> None:
        """Let everybody who waits for a change look again."""
        self._change.set()
        self._change = asyncio.Event()

    def lease(
        self,
        model: str,
        account: Account,
        *,
        queued_s: float = 0,
        avoid: Collection[Replica] = (),
        granted: bool = False,
        load: Load = NOTHING,
        since_s: float = math.inf,
    ) -> Lease | None:
        """Return a lease on the model's least busy replica, or None when none may be asked.

        `gateway.fleet.balance` says which that is for this `load`. `granted`: the model's queue has
        given it a place, which the lease gives back; else it needs one that is free. The request
        waits `since_s`, infinity where it has just come.
        """
        if self._held and since_s >= self._held.get(model, math.inf):
            return None
        queue = self._queues.get(model)
        if queue is not None and not granted and not queue.free:
            return None
        ready = self._askable(model, avoid, account.clock())
        if not ready:
            return None
        if queue is not None and not granted:
            queue.begin()
        chosen = ready[0] if len(ready) == 1 else self._best(ready, model, load)
        self._uses += 1
        chosen.last_used = self._uses
        return Lease(chosen, model, account, queued_s, queue, load=load)

    def _best(self, ready: Sequence[Replica], model: str, load: Load) -> Replica:
        """Choose between replicas; remember who is going to read the prompt's beginning."""
        if not self.affine:
            return ready[best([r.offer() for r in ready], load.prompt_tokens)]
        beginnings = load.beginnings(model)
        seen = self._prefixes.seen(beginnings)
        offers = [r.offer(seen.get(r.reader, 0.0)) for r in ready]
        chosen = ready[best(offers, load.prompt_tokens)]
        self._prefixes.note(beginnings.telling, chosen.reader)
        return chosen

    def queue(self, model: str) -> ModelQueue | None:
        """Return who waits for a model, None where it has no limit."""
        return self._queues.get(model)

    def full(self, model: str, avoid: Collection[Replica]) -> bool:
        """Say whether only the model's limit keeps a request from it."""
        queue = self._queues.get(model)
        if queue is None or queue.free:
            return False
        return bool(self._askable(model, avoid, self._clock()))

    def _askable(self, model: str, avoid: Collection[Replica], now_s: float) -> list[Replica]:
        return [
            r
            for r in self._replicas.get(model, ())
            if r.ready and r not in avoid and r.breaker.admits(now_s)
        ]

    def ready_plan(self, model: str) -> ReplicaPlan | None:
        """Return the plan of the model's least busy replica that is ready; None where none is."""
        ready = [replica for replica in self._replicas.get(model, ()) if replica.ready]
        return ready[best([r.offer() for r in ready], 0)].plan if ready else None

    def turned_away(self, models: Sequence[str], outcome: Outcome = Outcome.UNAVAILABLE) -> None:
        """Count a request that no replica took, under the first replica of the first model."""
        name = next((name for name in models if name in self._replicas), None)
        if name is not None:
            self._replicas[name][0].metrics[name].turned_away(outcome)

    def hopeful(self, models: Sequence[str]) -> bool:
        """Say whether a replica of one of these models may be ready soon."""
        return any(r.condition.hopeful for name in models for r in self._replicas.get(name, ()))

    def may_serve(self, models: Sequence[str], ruled_out: Collection[Replica]) -> bool:
        """Say whether these models have a replica beside those that are ruled out."""
        return any(r not in ruled_out for name in models for r in self._replicas.get(name, ()))

    async def changed(self) -> None:
        """Wait until some replica's condition changes. The caller sets the deadline."""
        await self._change.wait()

    def update(
        self, replica: Replica, condition: Condition, reason: str = "", restarts: int | None = None
    ) -> bool:
        """Note how a replica is doing; return whether its condition is another one now."""
        different = condition is not replica.condition
        replica.entered(condition, self._clock())
        replica.reason = reason
        if restarts is not None:
            replica.restarts = restarts
        if different:
            replica.suspect = False
            replica.breaker.reset()
            if self.on_update is not None:
                self.on_update(replica)
            self.wake()
        return different

    def status(self) -> Mapping[str, ModelStatus]:
        """Return how every model is doing, for selection; one is looked at when asked for."""
        return Statuses(self._replicas, self._queues, self.coming)

    def views(self, model: str) -> tuple[ReplicaView, ...]:
        """Return the replicas of a model as they are now."""
        return tuple(replica.view() for replica in self._replicas.get(model, ()))

    def rests_s(self, models: Sequence[str], now_s: float) -> float:
        """Return how soon a replica that is left alone may be asked again, 0 where none is.

        One that a request tries at this moment may be well in a second.
        """
        shut = [
            max(_TRIED_S, r.breaker.opens_in_s(now_s))
            for name in models
            for r in self._replicas.get(name, ())
            if r.ready and not r.breaker.admits(now_s)
        ]
        return min(shut, default=0.0)

    def why_not(self, models: Sequence[str], now_s: float = math.inf) -> str:
        """Say, for people, why none of these models serves now."""
        reasons = dict.fromkeys(
            f"{name} is out of rotation for now: it failed or is full"
            if r.ready
            else f"{name} is {r.condition.value}{f' ({r.reason})' if r.reason else ''}"
            for name in models
            for r in self._replicas.get(name, ())
            if not r.ready or not r.breaker.admits(now_s)
        )
        gone = [f"{name} is no longer served" for name in models if name not in self._replicas]
        return "; ".join([*reasons, *gone])

    def figures(self) -> Iterable[ReplicaFigures]:
        """Return what a scrape shows of each replica."""
        now_s = self._clock()
        return [replica.scrape(now_s) for replica in self]


def _labels(plan: ReplicaPlan) -> list[tuple[str, str, str]]:
    """Return the labels of each name that a replica serves: model, engine, replica."""
    return [(name, plan.engine, plan.replica) for name in plan.served]
