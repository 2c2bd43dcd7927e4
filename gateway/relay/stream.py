"""Relaying an event stream: what passes as it came, what is edited, what is counted.

Owns: the edits of what one engine sends (model name, usage event; id and role where it goes on with
another's answer) and its account; a cut stream's proper end.
Must not: do I/O; it takes pieces and returns the bytes to send.
"""

import re

from msgspec.structs import replace

from engines.asgi import AtOnce
from engines.protocol.answers import Usage
from engines.protocol.events import (
    DONE,
    EventSplitter,
    EventTooLong,
    event_data,
    is_error_event,
)
from gateway.errors import ApiError, EngineFailed
from gateway.observe.account import Account
from gateway.relay.answers import streamed_error
from gateway.relay.calls import CallMender
from gateway.relay.chunks import Chunk, Delta, Head, Unreadable, is_error, read_chunk, read_head
from gateway.relay.mould import Mould, mould_of, only_text, replacements
from gateway.relay.told import Told
from gateway.relay.written import length_event, usage_behind, usage_event

_MOST_MOULDS = 8
_ROLE = b'"role":"assistant",'
_CALLS = b'"tool_calls"'
_STOP = re.compile(rb'"finish_reason"\s*:\s*"stop"')
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"[a-z_]*"')


class StreamEditor:
    """Edits and accounts what one engine sends; the output is the same whatever the pieces are.

    `served` is the name that clients see; `wants_usage` says whether the client asked for the
    usage event, which engines are always asked for. Where `told` has something already, this
    engine goes on with it. After a `failure` nothing more is taken.
    """

    def __init__(self, account: Account, served: str, wants_usage: bool, told: Told) -> None:
        self._account = account
        self._served = served
        self._wants_usage = wants_usage
        self._told = told
        self._splitter = EventSplitter()
        self._mould: Mould | None = None
        self._moulds_left = _MOST_MOULDS
        self._goes_on = self._told.head is not None
        self._edits: list[tuple[bytes, bytes]] = []
        self._calls = CallMender()
        self._held = b""
        self._ending: set[int] = set()
        self._roles: set[int] = set()
        self._begun = False
        self._done = False
        self.events = 0
        self.failure: ApiError | None = None

    @property
    def whole(self) -> bool:
        """Whether the stream has come to its proper end."""
        return self._done

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the engine's stream; return what the client gets for it.

        What comes before the first event (comments) is left out: the answer has not begun.
        """
        try:
            events = self._splitter.feed(piece)
        except EventTooLong:
            self.failure = EngineFailed("The engine sent an event without an end.")
            return b""
        out = [self._taken(event) for event in events]
        return out[0] if len(out) == 1 else b"".join(out)

    def pass_on(self, piece: bytes, send: AtOnce) -> bool:
        """Take a piece of events like most, if `send` takes what the client gets for it.

        Returns whether both did; otherwise nothing is changed, and the piece is one for `feed`.
        """
        read = self._cast(piece) if self._splitter.between else None
        if read is None or not send(read[2]):
            return False
        self._count(read[0], read[1])
        return True

    def close(self) -> bytes:
        """End a stream after whose last piece no more came.

        An engine that leaves out `[DONE]` after all choices have finished is forgiven; `whole`
        then turns true.
        """
        if self._done or self.failure is not None or self._told.finished < self._told.choices:
            return b""
        return self._finish(DONE)

    def cut_short(self) -> bytes:
        """End an answer that has all the tokens it may have, but was never told so."""
        last = length_event(self._told.head or Head(), self._served)
        return self._marked(last) + self._finish(DONE)

    def _taken(self, event: bytes) -> bytes:
        read = self._cast(event)
        if read is None:
            return self._edited_whole(event)
        self._count(read[0], read[1])
        return read[2]

    def _cast(self, piece: bytes) -> tuple[int, str, bytes] | None:
        """Return of events like most how many they are, their text and what the client gets."""
        if self._mould is None or self._held or self._done or self.failure is not None:
            return None
        return self._mould.read(piece)

    def _count(self, events: int, text: str) -> None:
        """Account events that say a text and nothing else."""
        self.events += events
        self._told.said(text)
        self._told.events += events
        self._account.content_seen(events)

    def _edited_whole(self, event: bytes) -> bytes:
        data = event_data(event)
        if not data or self._done or self.failure is not None:
            return self._beside(event)
        if data == b"[DONE]":
            return self._finish(event)
        self.events += 1
        try:
            chunk = read_chunk(data)
        except Unreadable:
            self.failure = EngineFailed("The engine sent an event that is no JSON.")
            return self._released()
        if chunk is None or not chunk.answers:
            return self._other(event, data, chunk)
        if not self._begun:
            self._begin(event, data)
        before = self._released(chunk) if self._held else b""
        return before + self._answering(event, chunk)

    def _answering(self, event: bytes, chunk: Chunk) -> bytes:
        """Take a part of an answer, or its usage."""
        finished = self._told.finished
        told_again = self._note(chunk)
        ends = self._told.finished > finished
        if chunk.usage is not None and not chunk.choices:
            return self._usage_event(event)
        came, event = event, self._edited(event)  # before it may be written with other spaces
        if not told_again:
            self._learn(came, event, chunk)
        if told_again or self._told.called:
            event = self._mended(event, told_again=told_again, ends=ends)
        if self._goes_on:
            event = self._going_on(event, chunk)
        if ends:
            self._ending = {choice.index for choice in chunk.choices if choice.finish_reason}
            self._held, event = event, b""
        return event

    def _learn(self, came: bytes, edited: bytes, chunk: Chunk) -> None:
        """Keep the mould of an event that says a text alone; where all differ, no longer."""
        if not self._moulds_left or self._goes_on:
            return
        text = only_text(chunk)
        if text and not (self._mould is not None and self._mould.is_of(came)):
            self._moulds_left -= 1
            self._mould = mould_of(came, edited, text)

    def _mended(self, event: bytes, *, told_again: bool, ends: bool) -> bytes:
        """Return an event as OpenAI's clients can put it together with the others."""
        if told_again:
            event = self._calls.without_role(event)
        if _CALLS in event:
            event = self._calls.mend(event)
        if ends and self._calls.mended:
            event = _STOP.sub(b'"finish_reason":"tool_calls"', event)
        return event

    def _beside(self, event: bytes) -> bytes:
        """Take what is no part of the answer: a comment, or what comes behind its end."""
        under_way = self.events and not self._done and self.failure is None
        return event if under_way else b""

    def _released(self, chunk: Chunk | None = None) -> bytes:
        """Return the event that ended a choice, and was kept for that; `chunk` comes behind it.

        Some engines give a reason with every event: where the choice goes on, it was none.
        """
        held, self._held = self._held, b""
        going_on = chunk is not None and any(
            choice.index in self._ending and choice.speaks for choice in chunk.choices
        )
        if not going_on:
            return held
        self._told.finished -= len(self._ending)
        return _FINISH.sub(b'"finish_reason":null', held)

    def _other(self, event: bytes, data: bytes, chunk: Chunk | None) -> bytes:
        """Take an event that carries nothing of an answer: an error, or what engines add."""
        before = self._released()
        if is_error(data) or is_error_event(event):
            self.failure = streamed_error(data, begun=self._begun)
            return before
        if chunk is None:
            self._told.odd = True
        return before + self._edited(event)

    def _edited(self, event: bytes) -> bytes:
        for old, new in self._edits:
            event = event.replace(old, new, 1)
        return event

    def _begin(self, event: bytes, data: bytes) -> None:
        """Read the head, and decide on the bytes that are replaced in every event.

        A quote inside a JSON string is escaped, so the bytes `"model":"..."` can only be a field.
        """
        self._begun = True
        head = read_head(data)
        first = self._told.head or head
        if self._told.head is None:
            self._told.head = head
        wanted = Head(first.id, first.created, self._served if head.model else "")
        for name in ("id", "created", "model"):
            old, new = getattr(head, name), getattr(wanted, name)
            if old != new:
                self._edits += replacements(name, old, new, event)

    def _note(self, chunk: Chunk) -> bool:
        """Account what an event says, and keep it where it may be needed.

        Return whether it tells a role that has been told.
        """
        told, spoke, again = self._told, False, False
        for choice in chunk.choices:
            delta = choice.delta
            text = choice.text if delta is None else delta.content
            if text:
                told.said(text)
                spoke = True
            if delta is not None:
                if delta.role is not None:
                    again |= choice.index in self._roles
                    self._roles.add(choice.index)
                spoke |= self._heard(delta)
            if choice.finish_reason:
                told.finished += 1
        if spoke:
            told.events += 1
            self._account.content_seen()
        if chunk.usage is not None:
            self._account.usage = chunk.usage
        return again

    def _heard(self, delta: Delta) -> bool:
        """Keep what a chat's event says beside content; say whether it is anything."""
        told, spoke = self._told, False
        if thought := delta.thought:
            told.thought_of(thought)
            spoke = True
        if delta.calls:
            told.called = spoke = True
        if delta.refusal:
            told.odd = spoke = True
        return spoke

    def _usage_event(self, event: bytes) -> bytes:
        if not self._wants_usage:
            return b""
        self._told.usage_sent = True
        named = self._told.head is None or self._told.head.object.encode() in event
        if self._told.tokens_before or not named:  # some call it another kind of object
            return self._written_usage()
        return self._edited(event)

    def _going_on(self, event: bytes, chunk: Chunk) -> bytes:
        """Make an event one of the answer that was begun; the one that ends it is marked."""
        choice = chunk.choices[0]
        delta = choice.delta
        if delta is not None and delta.role is not None:
            if not (delta.speaks or choice.finish_reason):
                return b""
            if _ROLE in event:
                event = event.replace(_ROLE, b"", 1)
            else:  # it is spaced in another way, or behind the text
                event = self._calls.without_role(event)
        if chunk.usage is not None:  # with each event, as vLLM's `continuous_usage_stats` asks
            event = usage_behind(event, self._told.tokens_before)
        return self._marked(event) if choice.finish_reason else event

    def _marked(self, event: bytes) -> bytes:
        return event.replace(b"{", b'{"weighbridge":{"continued":%d},' % self._told.breaks, 1)

    def _finish(self, done: bytes) -> bytes:
        told = self._told
        self._done = told.ended = True
        before = self._released()
        if self._wants_usage and not told.usage_sent and told.head is not None:
            return before + self._written_usage() + done
        return before + done

    def _written_usage(self) -> bytes:
        """Write the usage event from what was seen: the engine owes it, or knows a part only."""
        told, account = self._told, self._account
        head = told.head or Head()
        known = account.usage or Usage()
        # Those before were a prompt to the last engine, and are among its details.
        prompt = max(0, known.prompt_tokens - told.tokens_before)
        completion = told.tokens_before + account.completion_tokens
        usage = replace(
            Usage() if told.tokens_before else known,
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
        )
        return usage_event(head, self._served, usage)
