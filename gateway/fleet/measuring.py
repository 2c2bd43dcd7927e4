"""What processes really take of memory, learnt for the next time that somebody reckons.

Owns: when a process is measured: after its first readiness, before any request, and when it ends.
Must not: reckon; start or end anything; fail anybody.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from engines.kinds import ReplicaPlan
from engines.memory import in_words, use_of
from engines.memory.remembered import Remembered, Seen
from gateway.fleet.replica import Replica
from gateway.fleet.resident import Resident

_log = logging.getLogger("weighbridge.engine")


@dataclass(frozen=True, slots=True)
class Reckoned:
    """What a file makes of its models' needs; both read headers, so on a thread.

    `mark_of` tells a replica's weights and settings from others, None where its memory is not to be
    learnt. `needs_of` returns what some models take together, by device, by what was learnt; None
    where the file's own word counts.
    """

    mark_of: Callable[[ReplicaPlan], str | None]
    needs_of: Callable[[Collection[str]], Mapping[str, int] | None]


class Measuring:
    """Measures processes on threads: it takes a hundredth of a second for each gigabyte.

    Whoever reckons after that goes by it, the budget of a running gateway included.
    """

    def __init__(self, remembered: Remembered, resident: Resident, reckoned: Reckoned) -> None:
        self.remembered = remembered
        self._resident = resident
        self._reckoned = reckoned
        self._marks: dict[Replica, str | None] = {}
        self._one_at_a_time = threading.Lock()

    def follow(self, reckoned: Reckoned) -> None:
        """Go by another file; what runs is still what it was."""
        self._reckoned = reckoned

    async def loaded(self, replica: Replica, pid: int | None) -> None:
        """Learn what a process takes that is up, and has had no request."""
        await self._learn(replica, pid, full=False)

    async def leaving(self, replica: Replica, pid: int | None) -> None:
        """Learn what a process takes that has had its last request."""
        await self._learn(replica, pid, full=True)
        self._marks.pop(replica, None)

    async def _learn(self, replica: Replica, pid: int | None, *, full: bool) -> None:
        if pid is None:
            return
        try:
            await self._measured(replica, pid, self._reckoned, full=full)
        except Exception:  # noqa: BLE001 - nobody is to fail for it
            # It runs as well as before: its load must not count as failed for this.
            _log.exception("%s could not be measured", replica.name)

    async def _measured(
        self, replica: Replica, pid: int, reckoned: Reckoned, *, full: bool
    ) -> None:
        if not await asyncio.to_thread(self._measure, replica, pid, reckoned, full):
            return
        unit = self._resident.unit_of(replica)
        if unit is not None:
            needs = await asyncio.to_thread(reckoned.needs_of, unit.models)
            if needs is not None:
                self._resident.takes(unit, needs)

    def _measure(self, replica: Replica, pid: int, reckoned: Reckoned, full: bool) -> bool:
        """Say whether something was learnt."""
        with self._one_at_a_time:
            if not full:
                self._marks[replica] = reckoned.mark_of(replica.plan)
            mark = self._marks.get(replica)
            if mark is None or (use := use_of(pid)) is None:
                return False
            seen = Seen.leaving(use) if full else Seen.loaded(use)
            if not self.remembered.learn(mark, seen):
                return False
        own, files = in_words(use.anonymous_bytes), in_words(use.file_backed_bytes)
        when = "at its end" if full else "when loaded"
        _log.info("%s uses %s and %s of file-backed pages %s", replica.name, own, files, when)
        return True
