"""A `Reply` to a client that asked by the Responses API.

Owns: which of its answers are translated. Must not: know how.
"""

from typing import Any

import msgspec

from engines.protocol.unreadable import UNREADABLE
from gateway.relay.exchange import Reply
from gateway.relay.rewording import RewordedReply
from gateway.responses.asked import ResponsesRequest
from gateway.responses.events import EventWriter
from gateway.responses.told import whole

# What a chat's answer of another shape comes to.
_UNLIKE = (LookupError, TypeError, AttributeError)
_ANY = msgspec.json.Decoder(dict[str, Any])


class ResponsesReply(RewordedReply):
    """Translates what is written to it; an error stays as it is."""

    def __init__(self, reply: Reply, request: ResponsesRequest) -> None:
        super().__init__(reply)
        self._request = request
        self._writer = EventWriter(request)

    def whole(self, body: bytes) -> bytes:
        """Return a response, or an error as it is."""
        try:
            return msgspec.json.encode(whole(self._request, _ANY.decode(body)))
        except (*UNREADABLE, *_UNLIKE):
            return body  # no answer that we know

    def event(self, event: bytes) -> bytes:
        """Return the events that one of a chat amounts to."""
        return self._writer.feed(event)
