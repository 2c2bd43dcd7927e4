"""When the planner is asked: soon after something has happened, or at the moment that it named.

Owns: the two handles. Must not: know what is asked.
"""

import asyncio
import math
from collections.abc import Callable


class Alarm:
    """Mutable; used from the event loop's thread only. Calls `ring`, however often it was set."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None

    def soon(self) -> None:
        """Ring before the loop goes on to anything else that waits."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._rings)

    def rung(self) -> None:
        """Note that what was to be done soon is done."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def within(self, delay_s: float) -> None:
        """Ring after so many seconds at the latest; infinity sets no other time."""
        if self._timer is not None:
            if self._timer.when() <= asyncio.get_running_loop().time() + delay_s:
                return
            self._timer.cancel()
            self._timer = None
        if delay_s < math.inf:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, delay_s), self._due)

    def off(self) -> None:
        """Ring no more."""
        self.rung()
        if self._timer is not None:
            self._timer.cancel()

    def _rings(self) -> None:
        self._soon = None
        self._ring()

    def _due(self) -> None:
        self._timer = None
        self._ring()
