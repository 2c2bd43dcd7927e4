"""What the relay reads of a stream's events: one decode in part, for both kinds of completion.

Owns: which fields are looked at, and what an event is that has none of them.
Must not: edit; keep anything.
"""

from typing import Any

import msgspec

from engines.protocol.answers import Usage
from engines.protocol.unreadable import UNREADABLE
from gateway.relay.odd_usage import usage_in

_NONE = (b"", b"null", b"[]", b"{}", b'""', b"false")
_ABSENT = msgspec.Raw()


class Delta(msgspec.Struct, frozen=True, gc=False):
    """What a chat event adds to a choice. Two names for thoughts: llama.cpp's and vLLM's."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = _ABSENT

    @property
    def thought(self) -> str:
        """What is new of a thought."""
        return self.reasoning_content or self.reasoning or ""

    @property
    def calls(self) -> bool:
        """Whether it carries a part of a tool call."""
        return self.tool_calls is not _ABSENT and bytes(self.tool_calls) not in _NONE

    @property
    def speaks(self) -> bool:
        """Whether it carries more than a role."""
        return bool(self.content or self.thought or self.refusal or self.calls)


class ChunkChoice(msgspec.Struct, frozen=True, gc=False):
    """One choice's part of an event; chat events have a delta, completions a text."""

    index: int = 0
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None

    @property
    def speaks(self) -> bool:
        """Whether it adds anything to its answer."""
        return bool(self.text) or (self.delta is not None and self.delta.speaks)


class Chunk(msgspec.Struct, frozen=True):
    """One event; the usage event has no choices, an error has neither."""

    choices: list[ChunkChoice] = []
    usage: Usage | None = None
    error: msgspec.Raw = _ABSENT

    @property
    def answers(self) -> bool:
        """Whether it is a part of an answer, or its usage: OpenRouter's errors have choices too."""
        return bool(self.choices or self.usage) and not says_error(self.error)


class _LooseChunk(msgspec.Struct, frozen=True):
    choices: list[ChunkChoice] | None = None
    usage: Any = None
    error: msgspec.Raw = _ABSENT


class Head(msgspec.Struct, frozen=True):
    """What all events of a stream have in common, as the first one tells it."""

    id: str = ""
    created: int = 0
    model: str = ""
    object: str = "chat.completion.chunk"


class _LooseHead(msgspec.Struct, frozen=True):
    id: Any = None
    created: Any = None
    model: Any = None
    object: Any = None


class _Wrong(msgspec.Struct, frozen=True):
    error: msgspec.Raw = msgspec.Raw()
    object: str = ""


_CHUNK = msgspec.json.Decoder(Chunk)
_LOOSE_CHUNK = msgspec.json.Decoder(_LooseChunk)
_HEAD = msgspec.json.Decoder(_LooseHead)
_WRONG = msgspec.json.Decoder(_Wrong)


class Unreadable(Exception):
    """An event's data is no JSON."""


def read_chunk(data: bytes) -> Chunk | None:
    """Return what an event says; None where it is JSON of another shape.

    Raises:
        Unreadable: it is no JSON.
    """
    try:
        return _CHUNK.decode(data)
    except msgspec.ValidationError:
        return _read_loosely(data)
    except UNREADABLE:
        raise Unreadable from None


def _read_loosely(data: bytes) -> Chunk | None:
    """Return what an event says whose usage has another shape than OpenAI's."""
    try:
        loose = _LOOSE_CHUNK.decode(data)
    except UNREADABLE:
        return None
    return Chunk(loose.choices or [], usage_in(loose.usage), loose.error)


def read_head(data: bytes) -> Head:
    """Return the head of a stream whose first event this is, less what has another shape."""
    try:
        told = _HEAD.decode(data)
    except UNREADABLE:
        return Head()
    head, seconds = Head(), told.created
    return Head(
        told.id if isinstance(told.id, str) else head.id,
        int(seconds) if isinstance(seconds, int | float) else head.created,
        told.model if isinstance(told.model, str) else head.model,
        told.object if isinstance(told.object, str) else head.object,
    )


def is_error(data: bytes) -> bool:
    """Say whether an event is an error, as vLLM, llama-server and others write it."""
    try:
        told = _WRONG.decode(data)
    except UNREADABLE:
        return False
    return says_error(told.error) or told.object == "error"


def says_error(field: msgspec.Raw) -> bool:
    """Say whether a field `error` tells of one: some servers have it, empty, in what is none."""
    return bytes(field) not in _NONE
