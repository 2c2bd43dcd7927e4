"""A worker: what it is built of, and how it follows what the parent says.

Owns: its application, its connections to engines, the gateway that its requests see.
Must not: look after engines; keep figures; know of signals or listeners.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from starlette.types import ASGIApp

from gateway.app import framework_of, generation_of, guarded
from gateway.classify import Lesson
from gateway.config.loading import LoadedConfig
from gateway.deciding import Decider, decider_of
from gateway.dispatch import Dispatcher
from gateway.explanation import Explainer
from gateway.fleet import Fleet, Replica
from gateway.fleet.prefixes import Prefixes
from gateway.observe.journal import Observed
from gateway.relay.client import UpstreamClient
from gateway.relay.shadows import MOST_AT_ONCE, MOST_BYTES, Shadows
from gateway.relay.uses import Uses
from gateway.selection import Selector
from gateway.serving import Surroundings, dispatcher_of
from gateway.workers import words
from gateway.workers.inside import ToParent
from gateway.workers.lending import FarLending
from gateway.workers.line import Line
from gateway.workers.picture import FarMetrics, Picture, Say, Settings, settings_in
from gateway.workers.school import School

_log = logging.getLogger("weighbridge.workers")
_ROUTE = "/v1/route"


@dataclass(frozen=True, slots=True)
class FarGateway:
    """A `gateway.serving.Front` by one file."""

    config: LoadedConfig
    decider: Decider
    dispatcher: Dispatcher
    explainer: Explainer
    fleet: Fleet
    prefixes: Prefixes


class FarWatch:
    """A `gateway.attempting.Watch` that tells the parent."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def suspect(self, replica: Replica, reason: str, *, unreachable: bool) -> None:
        """Note that a request failed on this replica."""
        self._say(words.Suspect(replica.name, reason, unreachable))

    def ending(self, replica: Replica, life: int) -> None:
        """Note that a replica takes nothing new in this one of its lives."""
        self._say(words.Ending(replica.name, life))


class FarPrefixes(Prefixes):
    """Which models have read what, in all workers."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def note(self, beginnings: Sequence[int], reader: str) -> None:
        """Remember that a model has read these, and tell the others."""
        if beginnings:
            word = words.Read(tuple(beginnings), reader)
            self.hear(word)
            self._say(word)

    def hear(self, word: words.Read) -> None:
        """Take what another worker's model has read."""
        super().note(word.hashes, word.model)


class Worker:
    """Used on the event loop's thread only. `gateway` is what new requests see."""

    def __init__(self, settings: Settings) -> None:
        self._line: Line[words.FromParent] = Line(words.FromParent, self._hear, self._orphaned)
        say: Say = self._line.say
        self._say = say
        metrics = FarMetrics(say)
        self._picture = Picture(metrics)
        self.client = UpstreamClient()
        self._picture.forget = self.client.forget
        self._lending = FarLending(self._picture, say, time.perf_counter)
        self._prefixes = FarPrefixes(say)
        self._school = School(say, self._recall)
        self._ending = False
        self._uses = Uses(self.client)
        self._shadows = Shadows(
            metrics.shadowed,
            time.perf_counter,
            max(1, MOST_AT_ONCE // settings.house.workers),
            MOST_BYTES // settings.house.workers,
        )
        self._around = Surroundings(
            fleet=self._picture,
            lender=self._lending,
            watch=FarWatch(say),
            client=self.client,
            metrics=metrics,
            prefixes=self._prefixes,
            shadows=self._shadows,
            uses=self._uses,
            observe=None,
            teach=self._school.teach,
        )
        self._latest = settings
        self._picture.follow(self._latest)
        self.gateway = self._front(self._latest)
        self._following: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._prepared: tuple[Settings, FarGateway] | None = None

    @property
    def settings(self) -> Settings:
        """What was last said to be in force."""
        return self._latest

    def app(self) -> ASGIApp:
        """Return the application; the parent answers what is asked seldom."""
        house = self._latest.house
        quick: dict[str, ASGIApp] = {**generation_of(self), _ROUTE: framework_of(self)}
        return guarded(quick, ToParent(house.inside, self.client, self), house.rules)

    async def begin(self, end: socket.socket) -> None:
        """Go on with the line to the parent."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self._line, sock=end)

    def ready(self) -> None:
        """Say that connections are taken."""
        self._say(words.Ready())

    async def end(self) -> None:
        """Say the last words."""
        await self._shadows.close()
        await self._uses.close()
        self._ending = True
        await self._line.close()
        self.client.close()

    def _orphaned(self) -> None:
        """End at once when the parent is gone: nobody would start engines or count requests."""
        if not self._ending:
            _log.critical("a gateway worker ends: its parent has died")
            _leave()

    def _hear(self, word: words.FromParent) -> None:
        if isinstance(word, words.State):
            self._picture.hear(word)
        elif isinstance(word, words.File):
            self._follow(settings_in(word))
        elif isinstance(word, words.Prepare):
            self._preparing = asyncio.create_task(self._prepare(word), name="prepare a file")
        elif isinstance(word, words.Read):
            self._prefixes.hear(word)
        elif isinstance(word, words.Learnt):
            self._school.hear(word)
        elif isinstance(word, words.Ping):
            self._say(words.Here())
        else:
            self._lending.hear(word)

    def _recall(self, lesson: Lesson) -> None:
        self.gateway.decider.recall(lesson)

    def _follow(self, settings: Settings) -> None:
        """Have new replicas at once, and a new file when everything by it is made."""
        before, self._latest = self._latest, settings
        self._picture.follow(settings)
        if _same(settings, before):
            return
        prepared, self._prepared = self._prepared, None
        if prepared is not None and _same(settings, prepared[0]):
            self.gateway = prepared[1]
        else:
            self._following = asyncio.create_task(self._put(settings), name="follow the file")

    async def _put(self, settings: Settings) -> None:
        # Reading words takes a while, for which no stream is to wait.
        gateway = await asyncio.to_thread(self._front, settings)
        if _same(settings, self._latest):
            self.gateway = gateway

    async def _prepare(self, word: words.Prepare) -> None:
        settings = settings_in(word.file)
        self._prepared = settings, await asyncio.to_thread(self._front, settings)
        self._say(words.Prepared(word.version))

    def _front(self, settings: Settings) -> FarGateway:
        file = settings.config.file
        selector = Selector(file, settings.facts)
        decider = decider_of(file, settings.facts, selector)
        return FarGateway(
            settings.config,
            decider,
            dispatcher_of(file, selector, decider, self._surroundings(settings)),
            Explainer(selector, decider),
            self._picture,
            self._prefixes,
        )

    def _surroundings(self, settings: Settings) -> Surroundings:
        observes = settings.config.file.mode == "observe"
        return replace(self._around, observe=self._observed) if observes else self._around

    def _observed(self, observed: Observed) -> None:
        self._say(words.Seen(observed))


def _same(one: Settings, other: Settings) -> bool:
    """Say whether two are by one file; their replicas may differ."""
    return (one.config, one.facts) == (other.config, other.facts)


def _leave() -> NoReturn:
    os._exit(1)
