"""One request on two replicas: whoever has the first byte answers, and the other is cut off.

Owns: the race of two attempts.
Must not: decide when one is late (`gateway.fleet.hedges` does); go on with a stream that has begun.

| what happens | then |
|---|---|
| the first replica answers or fails in time | nobody else is asked |
| it is late, and another is free, and the budget allows | that one is asked as well |
| one of the two begins its answer | the other is cut off, as `hedged` |
| one fails, and the other has not begun | the other alone counts |
| one fails so that nobody else should be asked | the other is cut off |
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engines.asgi import AtOnce
from gateway.asking import Incoming
from gateway.attempting import Attempts
from gateway.domain import Hedged, Outcome
from gateway.fleet import Lease
from gateway.fleet.hedges import Hedge
from gateway.fleet.lending import Lender
from gateway.fleet.tries import Tries
from gateway.observe.account import Account
from gateway.relay.exchange import Headers, Reply
from gateway.relay.failures import Failure
from gateway.relay.told import Told
from gateway.settling import Decided


@dataclass(slots=True)
class Telling:
    """What a client is being told, and where; mutable, owned by the request's task.

    `told` is that of the attempt which answers.
    """

    told: Told
    reply: Reply


class _Contender:
    """One of two attempts, and the `Reply` that it has: it begins only if nobody else has."""

    def __init__(self, race: "_Race", lease: Lease, told: Told) -> None:
        self._race = race
        self.lease = lease
        self.told = told
        self.task: asyncio.Task[Failure | None]
        self.started = False

    @property
    def at_once(self) -> AtOnce | None:
        """What sends a further part without waiting; only who has begun asks."""
        return self._race.reply.at_once

    async def start(self, status: int, headers: Headers) -> None:
        """Begin the client's answer, or wait to be cut off."""
        if not self._race.won_by(self):
            await asyncio.Event().wait()
        try:
            await self._race.reply.start(status, headers)
        finally:
            self.started = self._race.reply.started

    async def write(self, body: bytes, *, more: bool) -> None:
        """Pass on; only who has begun gets here."""
        await self._race.reply.write(body, more=more)

    def cut_off(self) -> None:
        """End this attempt, if it has not ended."""
        if not self.task.done():
            self.lease.cancelled_as = Outcome.HEDGED
            self.task.cancel()


class _Race:
    """Who begins first; `decided` is done from then on."""

    def __init__(self, reply: Reply, began: Callable[[_Contender], None]) -> None:
        self.reply = reply
        self.decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.winner: _Contender | None = None
        self._began = began

    def won_by(self, one: _Contender) -> bool:
        """Say whether this one is the first."""
        if self.winner is None:
            self.winner = one
            self._began(one)
            self.decided.set_result(None)
        return self.winner is one


class Hedger:
    """Makes attempts; those at models with a `Hedge` may become races."""

    def __init__(
        self,
        attempts: Attempts,
        lender: Lender,
        hedges: Mapping[str, Hedge],
        clock: Callable[[], float],
    ) -> None:
        self._attempts = attempts
        self._lender = lender
        self._hedges = hedges
        self._clock = clock

    def hedge_of(self, model: str, reply: Reply) -> Hedge | None:
        """Return by what an attempt at a model may become a race; None where it may not."""
        return None if reply.started else self._hedges.get(model)

    async def make(
        self,
        hedge: Hedge,
        lease: Lease,
        incoming: Incoming,
        decided: Decided,
        telling: Telling,
        *,
        tries: Tries,
    ) -> tuple[Lease, Failure | None]:
        """Use a replica, or two; return whose answer or failure counts, and why it failed.

        `tries` hears of a failure beside that. Cancellation cuts off both.
        """
        streams, sent_s = incoming.streams, self._clock()
        late_after_s = hedge.asked(streams=streams)

        def began(winner: _Contender) -> None:
            telling.told = winner.told
            hedge.began(self._clock() - sent_s, streams=streams)

        race = _Race(telling.reply, began)

        def enter(lease: Lease, told: Told) -> _Contender:
            one = _Contender(race, lease, told)
            one.task = asyncio.create_task(
                self._attempts.make(lease, incoming, decided, told, one), name="hedged attempt"
            )
            # A task that is cancelled before its first step runs nothing, not even its end.
            one.task.add_done_callback(lambda _: lease.end(lease.cancelled_as))
            return one

        rivals = [enter(lease, telling.told)]
        try:
            if await _is_late(race, rivals[0], late_after_s) and hedge.may():
                account = Account(self._clock, incoming.arrived_s, retried=True)
                avoid = {lease.replica, *tries.avoided()}
                second = await self._lender.another(lease.model, account, avoid, decided.load)
                if second is not None:
                    rivals.append(enter(second, telling.told.another()))
                    return await _settled(race, rivals[0], rivals[1], tries)
                hedge.not_doubled()
            return lease, await rivals[0].task
        finally:
            for one in rivals:
                one.task.cancel()
            await asyncio.wait([one.task for one in rivals])


async def _is_late(race: _Race, first: _Contender, late_after_s: float | None) -> bool:
    """Wait until the first one has begun, has ended, or is late; say whether it is late."""
    if late_after_s is None:
        return False
    done, _ = await asyncio.wait(
        (first.task, race.decided), timeout=late_after_s, return_when=asyncio.FIRST_COMPLETED
    )
    return not done


async def _settled(
    race: _Race, first: _Contender, second: _Contender, tries: Tries
) -> tuple[Lease, Failure | None]:
    await asyncio.wait((first.task, second.task, race.decided), return_when=asyncio.FIRST_COMPLETED)
    winner = race.winner
    if winner is None:  # one has failed before anybody began
        winner, other = (first, second) if first.task.done() else (second, first)
        failure = winner.task.result()
        if failure is not None and not failure.final:
            tries.failed(winner.lease.replica, failure, winner.lease.queued_s)
            winner = other
    (second if winner is first else first).cut_off()
    failure = await winner.task
    won = failure is None and winner is second
    second.lease.metrics.hedged(Hedged.WON if won else Hedged.LOST)
    return winner.lease, failure
