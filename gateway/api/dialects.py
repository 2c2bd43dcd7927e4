"""Requests in other words than chat has at every engine, and answers back in theirs.

Owns: which there are. Must not: translate (`allowed_tools`, `older_functions` and `responses` do).
"""

from typing import Any

import msgspec

from engines.protocol.decoding import decode_request
from engines.protocol.errors import ApiError
from engines.protocol.requests import ChatRequest
from gateway.api.allowed_tools import allows_some, only_allowed
from gateway.api.older_functions import OlderReply, as_tools, is_older
from gateway.relay.exchange import Reply
from gateway.responses import ResponsesReply, ResponsesRequest, as_chat, error_of

_CHAT = msgspec.json.Decoder(ChatRequest)


def translated(body: bytes, request: Any, reply: Reply) -> tuple[bytes, Any, Reply]:
    """Return what is asked in words of every engine, and who puts the answer into the client's.

    Raises:
        InvalidRequest: it means nothing in a chat.
    """
    if isinstance(request, ResponsesRequest):
        body, reply = as_chat(request, body), ResponsesReply(reply, request)
        request = decode_request(_CHAT, body)
    elif is_older(request):
        body, reply = as_tools(body), OlderReply(reply)
        request = decode_request(_CHAT, body)
    if allows_some(request):
        body = only_allowed(request, body)
        request = decode_request(_CHAT, body)
    return body, request, reply


def told(error: ApiError, request: Any) -> ApiError:
    """Return an error in the words in which a request came."""
    return error_of(request, error) if isinstance(request, ResponsesRequest) else error
