"""A chat's event stream as one of the Responses API.

Owns: which events there are, in which order. Must not: know the shapes of what is in them.
"""

from typing import Any

import msgspec

from engines.protocol.events import event_data, write_event
from engines.protocol.unreadable import UNREADABLE
from gateway.responses.asked import ResponsesRequest
from gateway.responses.told import (
    Item,
    ResponsesAnswer,
    begun,
    cut_by,
    cut_off,
    ended,
    logprobs_in,
    texts_in,
    those_of,
)

_ANY = msgspec.json.Decoder(dict[str, Any])


class _Choice(msgspec.Struct, frozen=True):
    delta: dict[str, Any] | None = None
    logprobs: Any = None
    finish_reason: str | None = None


class _Event(msgspec.Struct, frozen=True):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    weighbridge: Any = msgspec.UNSET


_EVENT = msgspec.json.Decoder(_Event)
# What the events of an item's text are called, and the field in which the last has all of it.
_TEXTS = {
    "reasoning": ("response.reasoning_text", "text"),
    "message": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
}


class EventWriter:
    """Takes events of a chat, one after the other. Mutable; one for each stream."""

    def __init__(self, request: ResponsesRequest) -> None:
        self._request = request
        self._answer: ResponsesAnswer | None = None
        self._bare_id = ""
        self._number = 0
        self._items: list[Item] = []
        self._open: Item | None = None  # what is said or thought at this moment
        self._calls: dict[int, Item] = {}
        self._tokens: list[Any] = []  # what is told of those whose text has not come
        self._reason: str | None = None
        self._usage: Any = None
        self._mark: Any = msgspec.UNSET

    def feed(self, event: bytes) -> bytes:
        """Return the events that one of a chat amounts to; a comment stays as it is.

        One of another shape amounts to none.
        """
        data = event_data(event)
        if data is None:
            return event
        if data == b"[DONE]":
            return self._end()
        try:
            told = _EVENT.decode(data)
        except UNREADABLE:
            return b""
        if told.error and isinstance(told.error, dict):
            return self._fail(told.error)
        begins = self._answer is None and told.choices  # what comes before has no name
        out = self._begin(_ANY.decode(data)) if begins else b""
        self._usage = told.usage or self._usage
        if told.weighbridge is not msgspec.UNSET:
            self._mark = told.weighbridge
        for choice in told.choices or ():
            self._tokens += logprobs_in(choice.logprobs)
            out += self._say(choice.delta or {})
            self._reason = choice.finish_reason or self._reason
        return out

    def _begin(self, told: dict[str, Any]) -> bytes:
        self._answer = begun(self._request, told)
        self._bare_id = self._answer.id.removeprefix("resp_")
        return b"".join(
            self._event(f"response.{what}", response=self._answer)
            for what in ("created", "in_progress")
        )

    def _say(self, delta: dict[str, Any]) -> bytes:
        out = b""
        for kind, text in texts_in(delta):
            out += self._text(kind, text)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                out += self._call(call)
        if out:
            self._tokens = []
        return out

    def _text(self, kind: str, text: str) -> bytes:
        out, (name, _) = b"", _TEXTS[kind]
        item = self._open
        if item is None or item.kind != kind:
            if kind == "message" and self._items:
                # The marks between it and what went before are not its own.
                self._tokens = those_of(text, self._tokens)
            out += self._close()
            item = self._open = self._new(kind)
            out += self._added(item)
            out += self._of(item, "response.content_part.added", content_index=0, part=item.part())
        item.text += text
        more: dict[str, Any] = {"logprobs": self._tokens} if kind == "message" else {}
        item.logprobs += more.get("logprobs", ())
        return out + self._of(item, f"{name}.delta", content_index=0, delta=text, **more)

    def _call(self, call: dict[str, Any]) -> bytes:
        given, out = call.get("function"), b""
        function = given if isinstance(given, dict) else {}
        index = call.get("index") or 0
        item = self._calls.get(index)
        if item is None:
            out += self._close()
            item = self._calls[index] = self._new("function_call")
            item.call_id, item.name = call.get("id") or "", function.get("name") or ""
            out += self._added(item)
        arguments = function.get("arguments")
        if arguments and isinstance(arguments, str):
            item.text += arguments
            out += self._of(item, "response.function_call_arguments.delta", delta=arguments)
        return out

    def _close(self) -> bytes:
        """End what was said or thought so far."""
        item, self._open = self._open, None
        if item is None:
            return b""
        name, whole = _TEXTS[item.kind]
        more: dict[str, Any] = {whole: item.text}
        if item.kind == "message":
            more["logprobs"] = item.logprobs
        return (
            self._of(item, f"{name}.done", content_index=0, **more)
            + self._of(item, "response.content_part.done", content_index=0, part=item.part())
            + self._done(item)
        )

    def _end(self) -> bytes:
        if self._answer is None:
            return b""
        cut_by(self._reason, self._items)
        out = self._close()
        for item in self._calls.values():
            called = {"name": item.name, "arguments": item.text}
            out += self._of(item, "response.function_call_arguments.done", **called)
            out += self._done(item)
        answer = ended(self._answer, self._items, self._reason, self._usage)
        answer = msgspec.structs.replace(answer, weighbridge=self._mark)
        return out + self._event(f"response.{answer.status}", response=answer)

    def _fail(self, error: dict[str, Any]) -> bytes:
        message = error.get("message")
        if self._answer is None:
            what = {"code": error.get("code"), "message": message, "param": error.get("param")}
            return self._event("error", **what)
        cut_off(self._items)
        failed = msgspec.structs.replace(
            self._answer,
            status="failed",
            error={"code": "server_error", "message": message},
            output=tuple(item.told() for item in self._items),
        )
        return self._event("response.failed", response=failed)

    def _new(self, kind: str) -> Item:
        item = Item(kind, self._bare_id, len(self._items))
        self._items.append(item)
        return item

    def _added(self, item: Item) -> bytes:
        told = item.told(begun=True)
        return self._event("response.output_item.added", output_index=item.at, item=told)

    def _done(self, item: Item) -> bytes:
        return self._event("response.output_item.done", output_index=item.at, item=item.told())

    def _of(self, item: Item, what: str, /, **more: Any) -> bytes:
        return self._event(what, item_id=item.id, output_index=item.at, **more)

    def _event(self, what: str, /, **more: Any) -> bytes:
        data = {"type": what, "sequence_number": self._number, **more}
        self._number += 1
        return b"event: %b\n%b" % (what.encode(), write_event(msgspec.json.encode(data)))
