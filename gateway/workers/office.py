"""The parent's desks: what is in force and how all are doing is told to every worker.

Owns: when that is told. Must not: start workers (`gateway.workers.crew` does).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from gateway.blueprint import Blueprint
from gateway.parts import Live
from gateway.workers import words
from gateway.workers.desk import Desk
from gateway.workers.picture import House, Settings

# How old what workers choose by may be; conditions of replicas are told at once.
_TOLD_EVERY_S = 0.02
# Times until a model is loaded pass without anything happening.
_LOOK_S = 1.0
# A worker that is so slow follows when it can.
_PREPARED_IN_S = 10.0


class Office:
    """Used on the event loop's thread only."""

    def __init__(self, live: Live, house: House) -> None:
        self._live = live
        self._house = house
        self._desks: list[Desk] = []
        self._told: words.State | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._version = 0
        self._preparing: set[Desk] = set()
        self._all_prepared = asyncio.Event()
        live.on_change = self._changed
        live.prepare = self._prepare

    @property
    def running(self) -> int:
        """How many requests all workers have."""
        return sum(desk.running for desk in self._desks)

    def open(self, ready: Callable[[], None]) -> Desk:
        """Return the desk of a worker that is about to start."""
        return Desk(self._live, self, time.perf_counter, ready)

    def greet(self, desk: Desk) -> None:
        """Tell a worker, whose line is open, what is in force; from now on it hears all."""
        self._desks.append(desk)
        desk.line.say(self.settings())
        desk.line.say(self._state())

    def part(self, desk: Desk) -> None:
        """Forget a worker that is gone."""
        if desk in self._desks:
            self._desks.remove(desk)
        self.prepared(self._version, desk)

    async def run(self) -> None:
        """Tell how all are doing whenever that changes, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._live.gateway.fleet.changed()
            except TimeoutError:
                self.touch()
            else:
                self._tell()

    def touch(self) -> None:
        """Hear that some replica is busier, or less so."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TOLD_EVERY_S, self._tell)

    def pass_on(self, word: words.Read | words.Learnt, by: Desk) -> None:
        """Tell the other workers what one has learnt."""
        for desk in self._desks:
            if desk is not by and not desk.line.full:
                desk.line.say(word)

    async def _prepare(self, blueprint: Blueprint) -> None:
        """Have all workers make what a file asks for, so that they can go by it at one moment."""
        self._version += 1
        settings = Settings(blueprint.config, blueprint.facts, (), self._house)
        word = words.Prepare(self._version, settings.written())
        self._preparing = set(self._desks)
        self._all_prepared.clear()
        for desk in self._desks:
            desk.line.say(word)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PREPARED_IN_S):
                while self._preparing:
                    await self._all_prepared.wait()

    def prepared(self, version: int, by: Desk) -> None:
        """Hear that a worker has made what a file asks for, or is gone."""
        if version == self._version:
            self._preparing.discard(by)
            if not self._preparing:
                self._all_prepared.set()

    def _changed(self) -> None:
        settings = self.settings()
        for desk in self._desks:
            desk.line.say(settings)
        self._told = None
        self._tell()

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        state = self._state()
        if state == self._told:
            return
        self._told = state
        for desk in self._desks:
            if desk.line.full:
                self._told = None  # it hears of a later one
                self.touch()
            else:
                desk.line.say(state)

    def settings(self) -> words.File:
        """Return what is in force, as it goes to a worker."""
        gateway = self._live.gateway
        plans = tuple(replica.plan for replica in gateway.fleet)
        return Settings(gateway.config, gateway.facts, plans, self._house).written()

    def _state(self) -> words.State:
        gateway = self._live.gateway
        return words.State(
            {r.name: (r.ready, r.lives, r.tells_uses) for r in gateway.fleet},
            dict(gateway.fleet.status()),
            gateway.leasing.heartbeat_after_s,
        )
