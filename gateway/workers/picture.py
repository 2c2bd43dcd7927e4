"""What a worker knows of the fleet: the parent's replicas, and how they were when it last said so.

Owns: this picture. Must not: lend; `gateway.workers.lending` asks the parent to.
"""

import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engines.kinds import ReplicaPlan
from gateway.config.loading import LoadedConfig
from gateway.domain import Fallback, Hedged, ModelFacts, ModelStatus, Outcome
from gateway.fleet import Condition, Fleet
from gateway.fleet.breaker import BreakerRules
from gateway.fleet.difference import name_of
from gateway.middleware import DoorRules
from gateway.observe.account import Account
from gateway.observe.metrics import Metrics
from gateway.observe.replica_metrics import ReplicaMetrics
from gateway.planning import limits_of
from gateway.workers import words

Say = Callable[[words.FromWorker], None]


@dataclass(frozen=True, slots=True)
class House:
    """What stays the same as long as the gateway runs.

    How many workers there are, who may come in, what is logged, and the parent's own socket.
    """

    workers: int
    rules: DoorRules
    inside: Path
    log_level: str
    log_form: str
    access_log: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force: a file, what is known of its models, the replicas of now."""

    config: LoadedConfig
    facts: Mapping[str, ModelFacts]
    plans: tuple[ReplicaPlan, ...]
    house: House

    def written(self) -> words.File:
        """Return them as they go to a worker."""
        return words.File(pickle.dumps(self))


def settings_in(file: words.File) -> Settings:
    """Return what the parent has written."""
    # Nobody but the parent, who has started us, has the other end of the line.
    found: Settings = pickle.loads(file.pickled)  # noqa: S301 - see above
    return found


class FarReplicaMetrics(ReplicaMetrics):
    """Figures that the parent keeps. What a lease's own messages tell is not told again."""

    def __init__(self, metrics: Metrics, labels: tuple[str, str, str], say: Say) -> None:
        super().__init__(metrics, labels)
        self._names = labels
        self._say = say

    def began(self, queued_s: float) -> None:
        """Do nothing: the parent has given the lease."""

    def ended(self, account: Account, outcome: Outcome, *, queued_s: float) -> None:
        """Do nothing: `End` tells it."""

    def count(self, account: Account) -> None:
        """Do nothing: `End` or `Told` tells it."""

    def tokens_now(self, tokens: int) -> None:
        """Do nothing: `Came` tells it."""

    def broke(self) -> None:
        """A stream has broken here in the middle."""
        self._say(words.Count(self._names, "broke"))

    def fell_back(self, reason: Fallback) -> None:
        """A request was answered here though another model came first."""
        self._say(words.Count(self._names, "fell_back", reason.value))

    def hedged(self, result: Hedged) -> None:
        """A request that was late elsewhere was sent here too."""
        self._say(words.Count(self._names, "hedged", result.value))


class FarMetrics(Metrics):
    """The parent's figures, as far as a worker adds to them."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def of(self, model: str, engine: str, replica: str) -> ReplicaMetrics:
        """Return the figures of a configured replica."""
        return FarReplicaMetrics(self, (model, engine, replica), self._say)

    def may_shadow(self, model: str) -> None:
        """Do nothing: the parent does."""

    def shadowed(self, model: str, outcome: Outcome, seconds: float | None) -> None:
        """A copy for a configured model has ended."""
        self._say(words.Shadowed(model, outcome, seconds))

    def counted(self, model: str, *, told: bool) -> None:
        """A configured model's engine was asked for the tokens of a prompt."""
        self._say(words.PromptCounted(model, told))


class Picture(Fleet):
    """A fleet whose replicas another process looks after and lends."""

    def __init__(self, metrics: FarMetrics) -> None:
        super().__init__((), metrics)
        self._status: Mapping[str, ModelStatus] = {}
        self.heartbeat_after_s: float | None = None
        self.forget: Callable[[str], None] = lambda _: None

    def follow(self, settings: Settings) -> None:
        """Have the replicas of a file."""
        file, plans = settings.config.file, settings.plans
        before = {replica.name: replica.plan for replica in self}
        kept = {name_of(plan) for plan in plans if _same(before.get(name_of(plan)), plan)}
        addresses = {plan.address.key for plan in plans}
        for plan in before.values():
            if plan.address.key not in addresses:
                self.forget(plan.address.key)
        self.change(plans, kept, BreakerRules(), limits_of(file, plans))
        self.affine = file.gateway.prefix_affinity

    def hear(self, state: words.State) -> None:
        """Take how all are doing."""
        self._status, self.heartbeat_after_s = state.models, state.heartbeat_after_s
        for replica in self:
            ready, lives, tells_uses = state.replicas.get(replica.name, (False, 0, False))
            if replica.ready and not ready:
                self.forget(replica.plan.address.key)
            replica.condition = Condition.READY if ready else Condition.STARTING
            replica.lives, replica.tells_uses = lives, tells_uses

    def status(self) -> Mapping[str, ModelStatus]:
        """Return how every model is doing, as the parent has last said."""
        return self._status

    def chooses(self, models: Iterable[str]) -> tuple[str, ...]:
        """Return those of some models of which a replica is to be chosen."""
        if not self.affine:
            return ()
        return tuple(name for name in models if len(self._replicas.get(name, ())) > 1)


def _same(before: ReplicaPlan | None, plan: ReplicaPlan) -> bool:
    return before is not None and (before.address, before.launch) == (plan.address, plan.launch)
