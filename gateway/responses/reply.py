"""A `Reply` to a client that asked by the Responses API.

Owns: which of its answers are translated. Must not: know how.
"""

from typing import Any

import msgspec

from engines.protocol.events import EventSplitter
from engines.protocol.unreadable import UNREADABLE
from gateway.relay.exchange import JSON, Headers, Reply
from gateway.responses.asked import ResponsesRequest
from gateway.responses.events import EventWriter
from gateway.responses.told import whole

# What a chat's answer of another shape comes to.
_UNLIKE = (LookupError, TypeError, AttributeError)
_ANY = msgspec.json.Decoder(dict[str, Any])


class ResponsesReply:
    """Translates what is written to it; an error stays as it is."""

    def __init__(self, reply: Reply, request: ResponsesRequest) -> None:
        self._reply = reply
        self._request = request
        self._events = EventSplitter()
        self._writer: EventWriter | None = None

    @property
    def started(self) -> bool:
        """Whether the answer has begun."""
        return self._reply.started

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        self._writer = None if JSON in headers else EventWriter(self._request)
        await self._reply.start(status, headers)

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body: whole events, or all of an answer."""
        if self._writer is None:
            body = self._whole(body)
        else:
            body = b"".join(map(self._writer.feed, self._events.feed(body)))
        if body or not more:
            await self._reply.write(body, more=more)

    def _whole(self, body: bytes) -> bytes:
        try:
            return msgspec.json.encode(whole(self._request, _ANY.decode(body)))
        except (*UNREADABLE, *_UNLIKE):
            return body  # no answer that we know
