"""What came of requests that were cut off, asked of workers that tell it (`/uses/{name}`).

Owns: the names under which requests are sent, and the questions under way.
Must not: publish anything; whoever asks is told what the worker said, or None.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable

import msgspec

from engines.kinds import Deadlines, ReplicaPlan
from engines.protocol.answers import UseTold
from engines.protocol.unreadable import UNREADABLE
from gateway.relay.client import Unreachable, UpstreamClient, UpstreamRequest
from gateway.relay.connection import ConnectionLost
from gateway.relay.watch import DeadlinePassed

USE_HEADER = "x-weighbridge-use"
_MOST_AT_ONCE = 256
# A worker answers once the request has ended there: within a step.
_PATIENCE = Deadlines(connect_s=2, first_byte_s=10, idle_s=5)


class Uses:
    """Asks in tasks of its own; those end with an answer, a deadline, or `close`."""

    def __init__(self, client: UpstreamClient, most: int = _MOST_AT_ONCE) -> None:
        self._client = client
        self._most = most
        # No two gateways may give one name, and no client may guess one.
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> int:
        """How many questions are under way."""
        return len(self._tasks)

    def name(self) -> str:
        """Return a name for one request to one replica."""
        return f"{self._prefix}-{next(self._numbers)}"

    def ask(self, plan: ReplicaPlan, name: str, tell: Callable[[UseTold | None], None]) -> None:
        """Ask a replica; `tell` is called once, with None where it cannot say or too many ask."""
        if len(self._tasks) >= self._most:
            tell(None)
            return
        task = asyncio.create_task(self._ask(plan, name, tell), name=f"use {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all questions, without their answers."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _ask(
        self, plan: ReplicaPlan, name: str, tell: Callable[[UseTold | None], None]
    ) -> None:
        told = None
        try:
            sent = UpstreamRequest("GET", f"{plan.uses_path}{name}")
            status, body = await self._client.fetch(plan.address, sent, _PATIENCE)
            told = msgspec.json.decode(body, type=UseTold) if status == 200 else None
        except (Unreachable, ConnectionLost, DeadlinePassed, *UNREADABLE):
            return
        finally:
            tell(told)
