"""Noticing that a client has gone, whatever its request is waiting for at that moment.

Owns: the one task that waits for `http.disconnect`.
Must not: know what is cancelled by it.
"""

import asyncio
from types import TracebackType

from starlette.types import Receive


class ClientGone(Exception):
    """The client closed its connection; there is nobody to answer."""


class Departure:
    """`async with`: the body is cancelled when the client goes, and `ClientGone` comes out of it.

    A cancellation from elsewhere (shutdown) stays a cancellation. The request's body must have
    been read before.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._watch: asyncio.Task[None] | None = None
        self._task: asyncio.Task[object] | None = None

    async def __aenter__(self) -> None:
        """Begin to watch."""
        self._task = asyncio.current_task()
        self._watch = asyncio.create_task(self._wait())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching; turn our own cancellation into `ClientGone`."""
        if self._watch is not None:
            self._watch.cancel()
        if not self._gone or self._task is None:
            return
        others = self._task.uncancel()
        if kind is asyncio.CancelledError and others == 0:
            raise ClientGone from None

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._task is not None:
            self._task.cancel()
