"""A worker's leases: asked of the parent, given back to it.

Owns: the requests that wait for the parent's word.
Must not: decide who gets a replica.
"""

import asyncio
import itertools
from array import array
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from engines.protocol.answers import UseTold
from gateway import errors
from gateway.domain import Outcome
from gateway.errors import ApiError, InternalError
from gateway.fleet import Lease, Replica
from gateway.fleet.balance import Load
from gateway.fleet.lending import Wish
from gateway.fleet.staying import Heart
from gateway.fleet.tries import Tries
from gateway.observe.account import Account
from gateway.rendering import FAILED
from gateway.workers import words
from gateway.workers.picture import Picture, Say

_TOLD_EVERY_S = 0.1

_Answer: TypeAlias = words.Granted | words.Refused | words.Might


class FarLease(Lease):
    """A lease that the parent has given; what becomes of it here is told there."""

    __slots__ = ("_lending", "_number")

    def __init__(
        self,
        lending: "FarLending",
        granted: words.Granted,
        replica: Replica,
        account: Account,
        load: Load,
    ) -> None:
        super().__init__(replica, granted.model, account, granted.queued_s, load=load)
        self._lending = lending
        self._number = granted.number
        self.life = granted.life
        self.use = granted.use

    def _delivered(self, events: int) -> None:
        self._lending.came(self._number, events)

    def end(self, outcome: Outcome, *, counted: bool = True) -> None:
        """Give the replica back. Only the first call counts."""
        if self._ended:
            return
        super().end(outcome, counted=counted)
        account = self.account
        self._lending.ended(
            words.End(
                self._number,
                outcome,
                counted,
                account.forwarded_s,
                account.first_token_s,
                account.content_events,
                account.usage,
                array("d", account.gaps_s).tobytes(),
            )
        )

    def rest(self, wait_s: float) -> None:
        """Have nobody else let through to the replica for as long as it has asked for."""
        self._lending.say(words.Rest(self.replica.name, wait_s))

    def count(self, told: UseTold | None) -> None:
        """Have the tokens of what was cut off published."""
        self._lending.say(words.Told(self._number, told))


class _Wait:
    """One request that waits for the parent's word; owned by its task."""

    __slots__ = ("answer", "beat", "future")

    def __init__(self) -> None:
        self.future: asyncio.Future[None] | None = None
        self.answer: _Answer | None = None
        self.beat: words.Beat | None = None

    def wake(self) -> None:
        """Let the task look."""
        if self.future is not None and not self.future.done():
            self.future.set_result(None)

    async def over(self, heart: Heart | None = None) -> _Answer:
        """Return the answer; tell the client of its wait meanwhile."""
        while self.answer is None:
            beat, self.beat = self.beat, None
            if beat is not None and heart is not None:
                await heart.beat(beat.model, beat.doing, beat.ready_in_s)
                continue
            self.future = asyncio.get_running_loop().create_future()
            await self.future
        return self.answer


class FarLending:
    """A `gateway.fleet.lending.Lender` whose fleet is the parent's."""

    def __init__(self, picture: Picture, say: Say, clock: Callable[[], float]) -> None:
        self._picture = picture
        self.say = say
        self._clock = clock
        self._numbers = itertools.count(1)
        self._waits: dict[int, _Wait] = {}
        self._came: dict[int, int] = {}
        self._telling: asyncio.TimerHandle | None = None

    @property
    def heartbeat_after_s(self) -> float | None:
        """After how long a client is told that its model is loaded; None where all always are."""
        return self._picture.heartbeat_after_s

    def hear(self, word: _Answer | words.Beat) -> None:
        """Take what the parent says to a request; one that has gone has said so."""
        wait = self._waits.get(word.number)
        if wait is None:
            return
        if isinstance(word, words.Beat):
            wait.beat = word
        else:
            wait.answer = word
        wait.wake()

    def at_once(
        self,
        models: Sequence[str],  # noqa: ARG002 - as a `Lender` has it
        wish: Wish,  # noqa: ARG002
        tries: Tries,  # noqa: ARG002
    ) -> Lease | None:
        """Return None: the parent is asked for every lease."""
        return None

    async def in_time(self, models: Sequence[str], wish: Wish, tries: Tries) -> Lease:
        """Return a lease, as `gateway.fleet.leasing` describes. Cancellation gives up its place.

        Raises:
            ApiError: there is none.
        """
        picture, load, heart, priority = self._picture, wish.load, wish.heart, 0
        if picture.waits and any(map(picture.queue, models)):
            priority = wish.priority()
        number, tried = next(self._numbers), None
        if tries.failure is not None:
            ruled_out, away = tries.told()
            tried = words.Tried(tries.outcome, tuple(ruled_out), away)
        ask = words.Ask(
            number,
            tuple(models),
            wish.arrived_s,
            tries.patience_s,
            priority,
            wish.goes_on,
            self._weight(models, load),
            None if heart is None else heart.next_s,
            tried,
        )
        answer = await self._asked(ask, heart)
        if isinstance(answer, words.Granted):
            tries.patience_s = answer.patience_s
            retried = tries.failure is not None
            account = Account(self._clock, wish.arrived_s, retried=retried, goes_on=wish.goes_on)
            return self._lease(answer, account, load)
        if not isinstance(answer, words.Refused):
            raise InternalError(FAILED)
        tries.patience_s = answer.patience_s
        if not answer.kind and tries.failure is not None:
            raise tries.failure
        raise _error_of(answer)

    async def another(
        self, model: str, account: Account, avoid: Collection[Replica], load: Load
    ) -> Lease | None:
        """Return a lease that is to be had at once, or None."""
        answer = await self._asked(
            words.Another(
                next(self._numbers),
                model,
                account.arrived_s,
                account.retried,
                tuple(replica.name for replica in avoid),
                self._weight((model,), load),
            )
        )
        if isinstance(answer, words.Granted):
            return self._lease(answer, account, load)
        return None

    async def may_retry(self) -> bool:
        """Take one of the tries that may follow a failure; say whether there was one."""
        answer = await self._asked(words.MayRetry(next(self._numbers)))
        return isinstance(answer, words.Might) and answer.may

    def came(self, number: int, events: int) -> None:
        """Have the parent told soon that events have come for a lease."""
        self._came[number] = self._came.get(number, 0) + events
        if self._telling is None:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(_TOLD_EVERY_S, self._tell)

    def ended(self, end: words.End) -> None:
        """Tell the parent that a lease is over."""
        self._came.pop(end.number, None)
        self.say(end)

    def _tell(self) -> None:
        self._telling = None
        came, self._came = self._came, {}
        if came:
            self.say(words.Came(tuple(came.items())))

    async def _asked(
        self, word: words.Ask | words.Another | words.MayRetry, heart: Heart | None = None
    ) -> _Answer:
        wait = self._waits[word.number] = _Wait()
        self.say(word)
        try:
            return await wait.over(heart)
        except BaseException:
            self.say(words.GiveUp(word.number))
            raise
        finally:
            del self._waits[word.number]

    def _lease(self, granted: words.Granted, account: Account, load: Load) -> Lease:
        replica = self._picture.named(granted.replica)
        if replica is None:  # the parent says what is in force before it grants any of it
            self.say(words.GiveUp(granted.number))
            raise InternalError(FAILED)
        return FarLease(self, granted, replica, account, load)

    def _weight(self, models: Sequence[str], load: Load) -> words.Weight:
        beginnings = {}
        for model in self._picture.chooses(models):
            found = load.beginnings(model)
            beginnings[model] = found.hashes, found.shares
        return words.Weight(load.prompt_tokens, load.answer_tokens, beginnings)


def _error_of(refused: words.Refused) -> ApiError:
    kind = getattr(errors, refused.kind, InternalError)
    error: ApiError = kind(refused.message or FAILED)
    error.retry_after_s = refused.retry_after_s
    return error
