"""Events of a stream that the gateway writes itself, where an engine owes them or errs in them.

Owns: their shape. Must not: know when one is owed.
"""

from typing import Any

import msgspec

from engines.protocol.answers import (
    ChatChunk,
    ChatChunkChoice,
    ChatDelta,
    TextAnswer,
    TextChoice,
    Usage,
)
from engines.protocol.events import event_data, write_event
from gateway.relay.chunks import Head
from gateway.relay.odd_usage import tokens_in

_EVENT = msgspec.json.Decoder(dict[str, Any])


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


def usage_behind(event: bytes, tokens: int) -> bytes:
    """Return an event whose usage takes so many of the answer's tokens for the prompt's, mended.

    They are one prompt to an engine that goes on behind another.
    """
    told = _EVENT.decode(event_data(event) or b"")
    usage = told["usage"]
    prompt = max(0, tokens_in(usage, "prompt_tokens") - tokens)
    completion = tokens_in(usage, "completion_tokens") + tokens
    usage["prompt_tokens"], usage["completion_tokens"] = prompt, completion
    usage["total_tokens"] = prompt + completion
    return write_event(msgspec.json.encode(told))
