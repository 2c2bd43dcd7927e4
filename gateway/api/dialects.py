"""Requests in other words than today's chat, and answers back in theirs.

Owns: which there are. Must not: translate (`older_functions` and `responses` do).
"""

from typing import Any

import msgspec

from engines.protocol.requests import ChatRequest, decode_request
from gateway.api.older_functions import OlderReply, as_tools, is_older
from gateway.relay.exchange import Reply
from gateway.responses import ResponsesReply, ResponsesRequest, as_chat

_CHAT = msgspec.json.Decoder(ChatRequest)


def translated(body: bytes, request: Any, reply: Reply) -> tuple[bytes, Any, Reply]:
    """Return what is asked in today's words, and who puts the answer into the client's.

    Raises:
        InvalidRequest: it means nothing in a chat.
    """
    if isinstance(request, ResponsesRequest):
        body, reply = as_chat(request, body), ResponsesReply(reply, request)
    elif is_older(request):
        body, reply = as_tools(body), OlderReply(reply)
    else:
        return body, request, reply
    return body, decode_request(_CHAT, body), reply
