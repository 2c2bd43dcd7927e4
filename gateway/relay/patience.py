"""The answer to a stream that waits for its model: headers held, then comments until it begins.

Owns: when the client is told that it waits, and in which words.
Must not: know why a model is not there; relay.
"""

import math
from collections.abc import Callable

from engines.asgi import AtOnce
from gateway.errors import EngineFailed
from gateway.relay.exchange import JSON, STREAM, Headers, Reply


class PatientReply:
    """A `Reply` that may send status 200 and comments before the answer has begun.

    `started` is whether the answer has; `opened` whether the client has the status already. From
    then on an error is an event. `headers` are those that are known before any engine answers.
    """

    def __init__(
        self,
        reply: Reply,
        headers: Headers,
        clock: Callable[[], float],
        begun_s: float,
        held_s: float,
    ) -> None:
        self._reply = reply
        self._headers = headers
        self._clock = clock
        self._held_s = held_s
        self.next_s = begun_s + held_s
        self.started = False
        self.opened = False

    @property
    def at_once(self) -> AtOnce | None:
        """What sends a further part without waiting, once the answer has begun."""
        return self._reply.at_once

    async def beat(self, model: str, doing: str, ready_in_s: float | None) -> None:
        """Tell the client what is done with its model; the next time to do so is `next_s`."""
        if not self.opened:
            self.opened = True
            await self._reply.start(200, (*STREAM, *self._headers))
        eta = f", ready in about {math.ceil(ready_in_s)} s" if ready_in_s else ""
        name = model.encode("unicode_escape").decode()
        await self._reply.write(f": {doing} {name}{eta}\n\n".encode(), more=True)
        self.next_s = self._clock() + self._held_s

    async def start(self, status: int, headers: Headers) -> None:
        """Begin the answer; where the client has the status, the headers come too late for it.

        Raises:
            EngineFailed: it is no stream, which the client has been promised.
        """
        if self.opened and JSON in headers:
            raise EngineFailed("The engine sent no stream where one was asked for.")
        self.started = True
        if not self.opened:
            await self._reply.start(status, headers)

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the answer."""
        await self._reply.write(body, more=more)
