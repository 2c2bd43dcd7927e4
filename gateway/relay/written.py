"""Events of a stream that the gateway writes itself, where an engine owes them.

Owns: their shape. Must not: know when one is owed.
"""

import msgspec

from engines.protocol.answers import (
    ChatChunk,
    ChatChunkChoice,
    ChatDelta,
    TextAnswer,
    TextChoice,
    Usage,
)
from engines.protocol.events import write_event
from gateway.relay.chunks import Head


class _UsageEvent(msgspec.Struct, frozen=True):
    id: str
    object: str
    created: int
    model: str
    choices: list[int]
    usage: Usage


def usage_event(head: Head, served: str, usage: Usage) -> bytes:
    """Return the event that tells a stream's usage."""
    event = _UsageEvent(head.id, head.object, head.created, served, [], usage)
    return write_event(msgspec.json.encode(event))


def length_event(head: Head, served: str) -> bytes:
    """Return the event that ends an answer which has all the tokens that it may have."""
    if head.object == "text_completion":
        text = TextChoice(0, "", "length")
        last: ChatChunk | TextAnswer = TextAnswer(head.id, head.created, served, [text])
    else:
        empty = ChatChunkChoice(0, ChatDelta(), "length")
        last = ChatChunk(head.id, head.created, served, [empty])
    return write_event(msgspec.json.encode(last))
