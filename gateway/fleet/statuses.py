"""How models are doing, as selection sees it.

Owns: what replicas and queues come to for a model.
Must not: choose; change anything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from gateway.domain import ModelStatus
from gateway.fleet.queue import ModelQueue
from gateway.fleet.replica import Replica

_UNKNOWN_START_S = 30.0  # until a first start has been seen


class Statuses(Mapping[str, ModelStatus]):
    """How each model is doing: a request looks at few of many, and more than once."""

    def __init__(
        self,
        replicas: Mapping[str, Sequence[Replica]],
        queues: Mapping[str, ModelQueue],
        coming: Callable[[str], float | None],
    ) -> None:
        self._replicas = replicas
        self._queues = queues
        self._coming = coming
        self._found: dict[str, ModelStatus] = {}

    def __getitem__(self, model: str) -> ModelStatus:
        """Return how a model is doing.

        Raises:
            KeyError: there is none of this name.
        """
        found = self._found.get(model)
        if found is None:
            replicas = self._replicas[model]
            found = _status(model, replicas, self._queues.get(model), self._coming)
            self._found[model] = found
        return found

    def __iter__(self) -> Iterator[str]:
        """Yield the models' names."""
        return iter(self._replicas)

    def __len__(self) -> int:
        """Return how many models there are."""
        return len(self._replicas)


def _status(
    model: str,
    replicas: Sequence[Replica],
    queue: ModelQueue | None,
    coming: Callable[[str], float | None],
) -> ModelStatus:
    ready = [r for r in replicas if r.ready]
    capacities = [r.plan.capacity for r in ready]
    known = [c for c in capacities if c is not None]
    first = replicas[0]
    capacity = sum(known) if known and len(known) == len(capacities) else None
    if queue is not None:
        capacity = min(queue.limits.max_concurrent, capacity or queue.limits.max_concurrent)
    in_s = 0.0 if ready else coming(model)
    return ModelStatus(
        available=in_s is not None,
        in_flight=sum(r.in_flight for r in replicas) + (queue.waiting if queue is not None else 0),
        capacity=capacity,
        reason=""
        if in_s is not None
        else f"it is {first.condition.value}: {first.reason}".rstrip(": "),
        ready_in_s=_soonest_s(replicas) if in_s is None else in_s,
    )


def _soonest_s(replicas: Sequence[Replica]) -> float | None:
    """Return about how soon one of them serves, by how long its last start took."""
    hopeful = [r for r in replicas if r.condition.hopeful]
    known = [_UNKNOWN_START_S if r.start_s is None else r.start_s for r in hopeful]
    return min(known, default=None)
