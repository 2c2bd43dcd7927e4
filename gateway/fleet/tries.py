"""What one request has tried, whom it does not go to again, and how long it may still wait.

Owns: the bookkeeping of one request's failures.
Must not: lease, wait, or know what a request says.
"""

import math
from collections.abc import Iterable, Mapping

from gateway.domain import Fallback, Outcome
from gateway.errors import ApiError
from gateway.fleet.replica import Replica
from gateway.relay.failures import Failure

# What kills two engines may kill all.
_MOST_DEATHS = 2


class Tries:
    """Mutable; owned by the task of one request. `patience_s` is how long it may wait in all.

    A child of ours that may be back is avoided only until its end has been noticed, and may be
    waited for: one that got nothing of the request, or one whose stream another has to go on with.
    Any other failure rules its replica out.
    """

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self.failure: ApiError | None = None
        self.outcome: Outcome | None = None
        # The first model had no room for the prompt, and one with a longer context was asked.
        self.promoted = False
        self._deaths = 0
        self._soonest_s = math.inf  # of when those that are full may be asked again
        self.ruled_out: set[Replica] = set()
        # Not there -> how often it had become ready by then.
        self._away: dict[Replica, int] = {}

    def failed(self, replica: Replica, failure: Failure, queued_s: float) -> None:
        """Note that a replica failed after a wait of `queued_s`.

        Where several say when to come again, the client is told the soonest.
        """
        self.failure, self.outcome = failure.error, failure.outcome
        rest_s = failure.error.retry_after_s
        if rest_s is not None:
            failure.error.retry_after_s = self._soonest_s = min(rest_s, self._soonest_s)
        self._deaths += failure.died
        self.patience_s -= queued_s
        if failure.back and replica.plan.launch is not None:
            self._away[replica] = replica.lives
        else:
            self._away.pop(replica, None)
            self.ruled_out.add(replica)

    def told(self) -> tuple[list[str], dict[str, int]]:
        """Return the names of who is ruled out, and of who is away with its lives by then."""
        ruled_out = [replica.name for replica in self.ruled_out]
        return ruled_out, {replica.name: lives for replica, lives in self._away.items()}

    def recall(
        self,
        failure: ApiError,
        outcome: Outcome | None,
        ruled_out: Iterable[Replica],
        away: Mapping[Replica, int],
    ) -> None:
        """Go by what `told` says, in another process."""
        self.failure, self.outcome = failure, outcome
        self.ruled_out.update(ruled_out)
        self._away.update(away)

    @property
    def exhausted(self) -> bool:
        """Whether no other engine should be tried."""
        return self._deaths >= _MOST_DEATHS

    @property
    def may_wait(self) -> bool:
        """Whether nothing has failed, or a child that may be back."""
        return self.failure is None or bool(self._away)

    @property
    def why_another(self) -> Fallback:
        """Why another model has answered than the first."""
        if self.promoted:
            return Fallback.CONTEXT
        return Fallback.UNAVAILABLE if self.failure is None else Fallback.FAILED

    def unnoticed(self) -> bool:
        """Say whether a child that may be back still counts as ready."""
        return any(self._stale(replica) for replica in self._away)

    def avoided(self) -> set[Replica]:
        """Return whom this request does not go to now."""
        if not self._away:
            return self.ruled_out
        return self.ruled_out | {r for r in self._away if self._stale(r)}

    def _stale(self, replica: Replica) -> bool:
        return replica.ready and replica.lives == self._away[replica]
