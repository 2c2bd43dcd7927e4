"""OpenAI's Responses API, without a memory: each request is one for chat, each answer one of it.

Owns: what its requests mean for chat, and chat's answers and events in its words.
Must not: relay, choose, or keep anything between two requests.
"""

from gateway.responses.asked import ResponsesRequest, as_chat, error_of
from gateway.responses.reply import ResponsesReply
from gateway.responses.told import ResponsesAnswer, ResponsesEvent

__all__ = [
    "ResponsesAnswer",
    "ResponsesEvent",
    "ResponsesReply",
    "ResponsesRequest",
    "as_chat",
    "error_of",
]
