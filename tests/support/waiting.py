"""Waiting for what only polling can see: another process's figures."""

import asyncio
from collections.abc import Awaitable, Callable

WAIT_S = 20
_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.1


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Return when the condition holds; it is asked again with growing pauses.

    Raises:
        TimeoutError: it does not hold within `WAIT_S`.
    """
    pause_s = _FIRST_PAUSE_S
    async with asyncio.timeout(WAIT_S):
        while not await true():
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.5)
