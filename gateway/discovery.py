"""Finds the servers of engines with `discover:` anew, whenever what DNS said has had its time.

Owns: when which name is asked again, and the fleet that follows.
Must not: ask itself (`gateway.resolving` does); touch replicas that were not found by name.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

from engines.kinds import RemoteEngine, Room
from engines.kinds.lookup import Lookup
from gateway.config.loading import LoadedConfig
from gateway.parts import Gateway, Live, with_replicas
from gateway.planning import plans_in
from gateway.resolving import Resolved, resolve

_log = logging.getLogger("weighbridge.discovery")
_TICK_S = 0.25


class Discovery:
    """Keeps `live.found`, and with it the fleet, as DNS says. `ask` and `clock` are for tests."""

    def __init__(
        self,
        live: Live,
        clock: Callable[[], float],
        ask: Callable[[Lookup], Awaitable[Resolved]] = resolve,
    ) -> None:
        self._live = live
        self._clock = clock
        self._ask = ask
        self._due_s: dict[Lookup, float] = {}
        self._put: Gateway | None = None

    async def look(self) -> None:
        """Ask for every name that is due, and put what is new in force."""
        wanted = set(lookups_of(self._live.gateway.config))
        for gone in self._due_s.keys() - wanted:
            del self._due_s[gone]
        due = [one for one in wanted if self._due_s.get(one, 0.0) <= self._clock()]
        # A file that was put in force meanwhile was made by what had been found before.
        another = bool(wanted) and self._live.gateway is not self._put
        if not due and not another:
            return
        answers = await asyncio.gather(*(self._ask(lookup) for lookup in due))
        before, now_s = dict(self._live.found), self._clock()
        for lookup, answer in zip(due, answers, strict=True):
            self._due_s[lookup] = now_s + answer.holds_s
            self._note(lookup, answer)
        if another or self._live.found != before:
            self._put_in_force()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            await self.look()

    def _note(self, lookup: Lookup, answer: Resolved) -> None:
        """Keep what was found. While DNS is silent, what it said last still holds."""
        known = self._live.found.get(lookup)
        if answer.failed and known is not None:
            if known.places and known.reason != answer.found.reason:
                _log.warning("%s; its servers stay as they were", answer.found.reason)
            answer = replace(answer, found=replace(known, reason=answer.found.reason))
        elif known is None or known.places != answer.found.places:
            where = ", ".join(f"{p.host}:{p.port}" for p in answer.found.places)
            _log.info("'%s' resolves to %s", lookup.name, where or "no server")
        self._live.found = {**self._live.found, lookup: answer.found}

    def _put_in_force(self) -> None:
        gateway = self._live.gateway
        # The room of processes does not matter: only plans without one are taken.
        room = Room(Path(), found=self._live.found)
        named = {
            name: None
            for name, engine in gateway.config.file.engines.items()
            if isinstance(engine, RemoteEngine) and engine.discover is not None
        }
        anew = [plan for plan in plans_in(gateway.config, room) if plan.engine in named]
        self._put = with_replicas(gateway, anew, named)
        self._live.put(self._put)


def lookups_of(config: LoadedConfig) -> Iterator[Lookup]:
    """Yield the names that a file's engines are found by."""
    for engine in config.file.engines.values():
        if isinstance(engine, RemoteEngine):
            yield from engine.lookups()
