"""Requests that are still being read (body, images, prompt, grammar) when the worker must end.

Owns: ending these with an error that says so: nothing runs yet that could end them.
Must not: know what is read, or end what runs (`batcher` does).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from engines.protocol.errors import ApiError


class Draining(ApiError):
    """The worker is about to end: 503."""

    status = 503
    default_code = "draining"
    fault = "engine"


class Beginnings:
    """Used from the event loop. `over`: the time is up, and nothing begins any more."""

    def __init__(self) -> None:
        self.over = False
        self._open: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Callable[[], None]]:
        """Let a request be read until the worker must end, or until what this yields is called.

        Raises:
            Draining: the worker must end.
        """
        if self.over:
            raise _draining()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._open.add(limit)
                yield partial(self._open.discard, limit)
        except TimeoutError:
            if limit.expired():
                raise _draining() from None
            raise
        finally:
            self._open.discard(limit)

    def end(self) -> None:
        """End all that are still being read."""
        self.over = True
        for limit in self._open:
            limit.reschedule(asyncio.get_running_loop().time())


def _draining() -> Draining:
    return Draining("This engine is shutting down, and had not started its answer.")
