"""Relaying an event stream: what passes as it came, what is edited, what is counted.

Owns: one stream's edits (model name, usage event) and its account; a cut stream's proper end.
Must not: do I/O; it takes pieces and returns the bytes to send.
"""

import re

import msgspec

from engines.protocol.answers import Usage
from engines.protocol.events import DONE, EventSplitter, event_data, is_error_event, write_event
from gateway.errors import ApiError, EngineFailed
from gateway.observe.account import Account
from gateway.relay.answers import error_words, rename_model

# A field that carries generated text, with a value that is not empty.
_CONTENT = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|arguments|refusal)"\s*:\s*"(?!")'
)
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"([a-z_]+)"')
_ERROR = re.compile(rb'^\s*\{\s*"(?:error"\s*:\s*[{"]|object"\s*:\s*"error")')


class _Head(msgspec.Struct, frozen=True):
    id: str = ""
    created: int = 0
    model: str = ""
    object: str = "chat.completion.chunk"
    choices: list[msgspec.Raw] = []
    usage: Usage | None = None


class _UsageEvent(msgspec.Struct, frozen=True):
    id: str
    object: str
    created: int
    model: str
    choices: list[int]
    usage: Usage


_HEAD = msgspec.json.Decoder(_Head)


class StreamEditor:
    """Edits and accounts one event stream; the output is the same whatever the pieces are.

    `served` is the name that clients see; `wants_usage` says whether the client asked for the
    usage event, which engines are always asked for; `choices` is the request's `n`.
    """

    def __init__(
        self, account: Account, *, served: str, wants_usage: bool, choices: int = 1
    ) -> None:
        self._account = account
        self._served = served
        self._wants_usage = wants_usage
        self._choices = choices
        self._finished_choices = 0
        self._splitter = EventSplitter()
        self._head: _Head | None = None
        self._usage_sent = False
        self._done = False

    @property
    def whole(self) -> bool:
        """Whether the stream has come to its proper end."""
        return self._done

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the engine's stream; return what the client gets for it.

        Raises:
            EventTooLong: the engine sends an event without an end.
        """
        out = [self._edit(event) for event in self._splitter.feed(piece)]
        return b"".join(out)

    def close(self) -> bytes:
        """End a stream after whose last piece no more came.

        An engine that leaves out `[DONE]` after all choices have finished is forgiven; `whole`
        then turns true. Otherwise the stream was cut, and the caller owes `error`.
        """
        if self._done or self._finished_choices < self._choices:
            return b""
        return self._finish(DONE)

    def error(self, error: ApiError) -> bytes:
        """Return the event that tells a client, whose status was 200 already, of a failure."""
        return write_event(error.body())

    def _edit(self, event: bytes) -> bytes:
        data = event_data(event)
        if data is None or self._done:
            return b"" if self._done else event
        if data == b"[DONE]":
            return self._finish(event)
        if self._head is None and not _ERROR.match(data):
            self._head = _decode_head(data)
        if _ERROR.match(data) or is_error_event(event):
            self._account.engine_said_error = True
            message, _ = error_words(data)
            return self.error(EngineFailed(message or "The engine failed in the middle."))
        if _CONTENT.search(data):
            self._account.content_seen()
        self._note_finish(data)
        if _USAGE.search(data) and self._note_usage(data):
            if not self._wants_usage:
                return b""
            self._usage_sent = True
        told = self._head.model if self._head is not None else ""
        return rename_model(event, told, self._served) if told else event

    def _note_finish(self, data: bytes) -> None:
        for reason in _FINISH.findall(data):
            self._finished_choices += 1
            self._account.finish_reasons.add(reason.decode())

    def _note_usage(self, data: bytes) -> bool:
        """Keep the usage; say whether the event carries nothing else."""
        head = _decode_head(data)
        if head is None or head.usage is None:
            return False
        self._account.usage = head.usage
        return not head.choices

    def _finish(self, done: bytes) -> bytes:
        self._done = True
        if self._wants_usage and not self._usage_sent and self._head is not None:
            return write_event(msgspec.json.encode(self._counted_usage(self._head))) + done
        return done

    def _counted_usage(self, head: _Head) -> _UsageEvent:
        """Make the usage event that the engine owed, from what was seen."""
        account = self._account
        usage = account.usage or Usage(
            completion_tokens=account.completion_tokens, total_tokens=account.completion_tokens
        )
        return _UsageEvent(head.id, head.object, head.created, self._served, [], usage)


def _decode_head(data: bytes) -> _Head | None:
    try:
        return _HEAD.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
