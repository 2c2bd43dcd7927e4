"""A `Reply` whose answers are put into other words on their way to the client.

Owns: what is a whole answer, and what are events. Must not: know the words.
"""

from abc import ABC, abstractmethod

from engines.asgi import AtOnce
from engines.protocol.events import EventSplitter
from gateway.relay.exchange import JSON, Headers, Reply


class RewordedReply(ABC):
    """Passes on what it is told, reworded."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._events: EventSplitter | None = None

    @property
    def started(self) -> bool:
        """Whether the answer has begun."""
        return self._reply.started

    @property
    def at_once(self) -> AtOnce | None:
        """Nothing: each part is put into other words."""
        return None

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        self._events = None if JSON in headers else EventSplitter()
        await self._reply.start(status, headers)

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body: whole events, or all of an answer."""
        if self._events is None:
            body = self.whole(body)
        else:
            body = b"".join(map(self.event, self._events.feed(body)))
            body += b"" if more else self.rest(self._events.rest())
        if body or not more:
            await self._reply.write(body, more=more)

    @abstractmethod
    def whole(self, body: bytes) -> bytes:
        """Return an answer that is not streamed, or an error, in the client's words."""

    @abstractmethod
    def event(self, event: bytes) -> bytes:
        """Return what one event of a stream amounts to in the client's words."""

    def rest(self, rest: bytes) -> bytes:
        """Return what is told of the beginning of an event that never came whole."""
        del rest
        return b""
