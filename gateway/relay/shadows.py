"""Copies of requests for a second model: sent beside the answer, dropped, and counted.

Owns: the tasks of copies under way, and how many there may be.
Must not: choose or lease; delay or change what the client gets.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TypeAlias

from engines.asgi import AtOnce
from gateway.domain import Outcome
from gateway.relay.exchange import Headers

MOST_AT_ONCE = 64
MOST_BYTES = 64 * 1024 * 1024

Copy: TypeAlias = Callable[[], Coroutine[None, None, Outcome]]


class Nowhere:
    """A `Reply` that drops everything."""

    def __init__(self) -> None:
        self.started = False

    @property
    def at_once(self) -> AtOnce | None:
        """Drop each part as it is written."""
        return None

    async def start(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - the protocol names it
        """Drop status and headers."""
        self.started = True

    async def write(self, body: bytes, *, more: bool) -> None:
        """Drop a part of the body."""


class Shadows:
    """Runs copies as tasks of its own: they end neither with the request nor before `close`.

    Those under way are bounded in number and in the bytes of their bodies. `count` is told of each
    copy its model, its outcome and its seconds; of one beyond the bounds `Outcome.OVERLOADED` and
    None.
    """

    def __init__(
        self,
        count: Callable[[str, Outcome, float | None], None],
        clock: Callable[[], float],
        most: int = MOST_AT_ONCE,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._count = count
        self._clock = clock
        self._most = most
        self._bytes_left = most_bytes
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, model: str, copy: Copy, body_bytes: int) -> None:
        """Begin a copy, unless too many are under way."""
        if len(self._tasks) >= self._most or body_bytes > self._bytes_left:
            self._count(model, Outcome.OVERLOADED, None)
            return
        self._bytes_left -= body_bytes
        task = asyncio.create_task(self._run(model, copy), name=f"shadow {model}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, body_bytes))

    async def close(self) -> None:
        """Cut off all that are under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, body_bytes: int, task: "asyncio.Task[None]") -> None:
        self._bytes_left += body_bytes
        self._tasks.discard(task)

    async def _run(self, model: str, copy: Copy) -> None:
        started_s, outcome = self._clock(), Outcome.CANCELLED
        try:
            outcome = await copy()
        finally:
            self._count(model, outcome, self._clock() - started_s)
