"""The parent's end of one worker: leases asked for, granted, given back.

Owns: what this worker holds, and that all of it comes back when the worker is gone.
Must not: decide who gets what; `gateway.fleet` does, as for requests of its own.
"""

import asyncio
import logging
import time
from array import array
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from gateway.domain import Fallback, Hedged, Outcome
from gateway.errors import ApiError, EngineFailed, NoModelAvailable
from gateway.fleet import Lease, Replica
from gateway.fleet.balance import Load
from gateway.fleet.lending import Wish
from gateway.fleet.prefixes import Beginnings
from gateway.fleet.tries import Tries
from gateway.observe.account import Account
from gateway.parts import Gateway, Live
from gateway.workers import words
from gateway.workers.line import Line

_log = logging.getLogger("weighbridge.workers")


class Office(Protocol):
    """Whoever has the desks of all workers."""

    def touch(self) -> None:
        """Hear that some replica is busier, or less so."""

    def prepared(self, version: int, by: "Desk") -> None:
        """Hear that a worker has made what a file asks for."""

    def pass_on(self, word: words.Read | words.Learnt, by: "Desk") -> None:
        """Tell the other workers what one has learnt."""


class FarHeart:
    """A client in another process that is told that its request waits."""

    def __init__(
        self, number: int, next_s: float, every_s: float, say: Callable[[words.Word], None]
    ) -> None:
        self._number = number
        self._every_s = every_s
        self._say = say
        self.next_s = next_s

    async def beat(self, model: str, doing: str, ready_in_s: float | None) -> None:
        """Have the client told."""
        self.next_s = time.perf_counter() + self._every_s
        self._say(words.Beat(self._number, model, doing, ready_in_s))


class Desk:
    """Used on the event loop's thread only. `ready` is called when the worker takes connections."""

    def __init__(
        self, live: Live, office: Office, clock: Callable[[], float], ready: Callable[[], None]
    ) -> None:
        self._live = live
        self._office = office
        self._clock = clock
        self._ready = ready
        self._leases: dict[int, Lease] = {}
        self._uncounted: dict[int, Lease] = {}
        self._waiting: dict[int, asyncio.Task[None]] = {}
        self._on: dict[type, Callable[[Any], None]] = {
            words.Ask: self._on_ask,
            words.Another: self._on_another,
            words.GiveUp: self._on_give_up,
            words.Came: self._on_came,
            words.End: self._on_end,
            words.Told: self._on_told,
            words.MayRetry: self._on_may_retry,
            words.Rest: self._on_rest,
            words.Suspect: self._on_suspect,
            words.Ending: self._on_ending,
            words.Count: self._on_count,
            words.Shadowed: self._on_shadowed,
            words.PromptCounted: self._on_prompt_counted,
            words.Read: self._on_read,
            words.Seen: self._on_seen,
            words.Ready: self._on_ready,
            words.Prepared: self._on_prepared,
            words.Here: lambda _: None,
            words.Learnt: lambda word: self._office.pass_on(word, self),
        }
        self.heard = False  # since somebody has set this to false
        self.line: Line[words.FromWorker] = Line(words.FromWorker, self.hear, self.lost)

    @property
    def running(self) -> int:
        """How many requests this worker has that have a lease or wait for one."""
        return len(self._leases) + len(self._waiting)

    @property
    def _gateway(self) -> Gateway:
        return self._live.gateway

    def lost(self) -> None:
        """Take back what the worker held: it is gone, and its connections to engines with it."""
        for task in tuple(self._waiting.values()):
            task.cancel()
        for lease in tuple(self._leases.values()):
            lease.end(Outcome.CANCELLED, counted=False)
        for lease in (*self._leases.values(), *self._uncounted.values()):
            if lease.use is None:
                lease.count(None)
            else:
                self._gateway.uses.ask(lease.replica.plan, lease.use, lease.count)
        self._leases, self._uncounted = {}, {}
        self._office.touch()

    def hear(self, word: words.FromWorker) -> None:
        """Do what a message wants."""
        self.heard = True
        self._on[type(word)](word)

    # Leases

    def _on_ask(self, word: words.Ask) -> None:
        wish, tries = self._wish(word), self._tries(word)
        try:
            lease = self._gateway.leasing.at_once(word.models, wish, tries)
        except ApiError as error:
            self._refuse(word.number, error, tries)
            return
        if lease is not None:
            self._grant(word.number, lease, tries.patience_s)
            return
        task = asyncio.create_task(self._wait(word, wish, tries), name=f"wait {word.number}")
        self._waiting[word.number] = task
        task.add_done_callback(lambda _: self._waiting.pop(word.number))

    async def _wait(self, word: words.Ask, wish: Wish, tries: Tries) -> None:
        number = word.number
        try:
            lease = await self._gateway.leasing.in_time(word.models, wish, tries)
        except ApiError as error:
            self._refuse(number, error, tries)
        except Exception:  # noqa: BLE001 - the root of a task
            _log.exception("a worker's request has failed")
            self._refuse(number, NoModelAvailable("The gateway failed; its log says why."), tries)
        else:
            self._grant(number, lease, tries.patience_s)

    def _on_another(self, word: words.Another) -> None:
        account = Account(self._clock, word.arrived_s, retried=word.retried)
        lease = self._gateway.fleet.lease(
            word.model, account, avoid=set(self._named(word.avoid)), load=_load(word.weight)
        )
        if lease is None:
            self.line.say(words.Refused(word.number, 0.0))
        else:
            self._grant(word.number, lease, 0.0)

    def _on_give_up(self, word: words.GiveUp) -> None:
        task, lease = self._waiting.get(word.number), self._leases.pop(word.number, None)
        if task is not None:
            task.cancel()
        if lease is not None:  # granted while its request ended
            lease.end(Outcome.CANCELLED)
            self._office.touch()

    def _grant(self, number: int, lease: Lease, patience_s: float) -> None:
        self._leases[number] = lease
        if lease.replica.tells_uses:
            lease.use = self._gateway.uses.name()
        what = lease.replica.name, lease.life, lease.model
        self.line.say(words.Granted(number, *what, lease.queued_s, patience_s, lease.use))
        self._office.touch()

    def _refuse(self, number: int, error: ApiError, tries: Tries) -> None:
        kind = "" if error is tries.failure else type(error).__name__
        self.line.say(
            words.Refused(number, tries.patience_s, kind, error.message, error.retry_after_s)
        )

    def _on_came(self, word: words.Came) -> None:
        for number, events in word.rows:
            lease = self._leases.get(number)
            if lease is not None and lease.account.on_token is not None:
                lease.account.content_events += events
                lease.account.told_events += events
                lease.account.on_token(events)
        self._office.touch()

    def _on_end(self, word: words.End) -> None:
        lease = self._leases.pop(word.number, None)
        if lease is None:
            return
        account, gaps_s = lease.account, array("d")
        gaps_s.frombytes(word.gaps_s)
        account.forwarded_s, account.first_token_s = word.forwarded_s, word.first_token_s
        account.content_events, account.usage = word.content_events, word.usage
        account.gaps_s = gaps_s.tolist()
        lease.end(word.outcome, counted=word.counted)
        if not word.counted:
            self._uncounted[word.number] = lease
        self._office.touch()

    def _on_told(self, word: words.Told) -> None:
        lease = self._uncounted.pop(word.number, None)
        if lease is not None:
            lease.count(word.told)

    def _on_may_retry(self, word: words.MayRetry) -> None:
        self.line.say(words.Might(word.number, self._gateway.leasing.retries.spend()))

    # How replicas fared

    def _on_rest(self, word: words.Rest) -> None:
        for replica in self._named((word.replica,)):
            replica.breaker.rest(word.wait_s, self._clock())

    def _on_suspect(self, word: words.Suspect) -> None:
        for replica in self._named((word.replica,)):
            self._gateway.carer.suspect(replica, word.reason, unreachable=word.unreachable)

    def _on_ending(self, word: words.Ending) -> None:
        for replica in self._named((word.replica,)):
            self._gateway.carer.ending(replica, word.life)

    # What is counted and remembered

    def _on_count(self, word: words.Count) -> None:
        metrics = self._gateway.metrics.of(*word.labels)
        if word.what == "broke":
            metrics.broke()
        elif word.what == "hedged":
            metrics.hedged(Hedged(word.word))
        elif word.what == "fell_back":
            metrics.fell_back(Fallback(word.word))

    def _on_shadowed(self, word: words.Shadowed) -> None:
        self._gateway.metrics.shadowed(word.model, word.outcome, word.seconds)

    def _on_prompt_counted(self, word: words.PromptCounted) -> None:
        self._gateway.metrics.counted(word.model, told=word.told)

    def _on_read(self, word: words.Read) -> None:
        self._gateway.prefixes.note(word.hashes, word.model)
        self._office.pass_on(word, self)

    def _on_seen(self, word: words.Seen) -> None:
        if self._gateway.journal is not None:
            self._gateway.journal.add(word.observed)

    def _on_prepared(self, word: words.Prepared) -> None:
        self._office.prepared(word.version, self)

    def _on_ready(self, _word: words.Ready) -> None:
        self._ready()

    # From words to what the fleet knows

    def _wish(self, word: words.Ask) -> Wish:
        heart, every_s = None, self._gateway.leasing.heartbeat_after_s
        if word.beat_at_s is not None and every_s is not None:
            heart = FarHeart(word.number, word.beat_at_s, every_s, self.line.say)
        return Wish(
            word.arrived_s,
            lambda: word.priority,
            goes_on=word.goes_on,
            load=_load(word.weight),
            heart=heart,
        )

    def _tries(self, word: words.Ask) -> Tries:
        tries, told = Tries(word.patience_s), word.tried
        if told is not None:
            tries.recall(
                EngineFailed("It has failed before."),
                told.outcome,
                self._named(told.ruled_out),
                {r: lives for name, lives in told.away.items() for r in self._named((name,))},
            )
        return tries

    def _named(self, names: Iterable[str]) -> list[Replica]:
        """Return the replicas of these names that there still are."""
        found = map(self._gateway.fleet.named, names)
        return [replica for replica in found if replica is not None]


def _load(weight: words.Weight) -> Load:
    known = weight.beginnings

    def beginnings(model: str) -> Beginnings:
        return Beginnings(*known.get(model, ((), ())))

    return Load(weight.prompt_tokens, weight.answer_tokens, beginnings)
