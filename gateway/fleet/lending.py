"""What a request asks of whoever lends replicas, and what it may ask them for.

Owns: this interface. Must not: lend; `gateway.fleet.leasing` does.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from gateway.fleet.balance import NOTHING, Load
from gateway.fleet.replica import Lease, Replica
from gateway.fleet.staying import Heart
from gateway.fleet.tries import Tries
from gateway.observe.account import Account


class Wish(msgspec.Struct, frozen=True):
    """What of a request counts here. `goes_on`: an answer to it had begun.

    `heart` tells its client that it waits for a model to be loaded, None where nobody does.
    """

    arrived_s: float
    priority: Callable[[], int]
    goes_on: bool = False
    load: Load = NOTHING
    heart: Heart | None = None


class Lender(Protocol):
    """Who lends replicas to requests: the fleet of this process, or that of another."""

    @property
    def heartbeat_after_s(self) -> float | None:
        """After how long a client is told that its model is loaded; None where all always are."""

    def at_once(self, models: Sequence[str], wish: Wish, tries: Tries) -> Lease | None:
        """Return a lease where nothing has to be waited for, or nobody asked; else None.

        Called once for each try, before `in_time`.
        """

    async def in_time(self, models: Sequence[str], wish: Wish, tries: Tries) -> Lease:
        """Return a lease on the first model that has a free place on a replica that is up.

        For what `at_once` does not give.
        """

    async def another(
        self, model: str, account: Account, avoid: Collection[Replica], load: Load
    ) -> Lease | None:
        """Return a lease that is to be had at once, or None."""

    async def may_retry(self) -> bool:
        """Take one of the tries that may follow a failure; say whether there was one."""
