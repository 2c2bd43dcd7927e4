"""Mending tool calls that engines tell in ways which OpenAI's clients cannot read.

Owns: the indices, ids, names and arguments of one stream's calls; a role that is told again; ids
and arguments of the calls in a whole answer.
Must not: see any other event; an event, or an answer, with nothing to mend stays as it came.

| an engine sends | clients get |
|---|---|
| no `index` | one for each call: an id or a name that is new begins another |
| `arguments` that are an object | its JSON as text |
| no `id` with a call's first event | one of ours |
| `id` or `name` with each event of a call | they stand with the first alone: clients join them |
| the older `function_call` beside the same call | it once |
| a `role` with each event | it with the first alone |
| the reason `stop` behind calls that were mended | `tool_calls` |
"""

import re
import uuid
from typing import Any

import msgspec

from engines.protocol.events import event_data, write_event
from engines.protocol.unreadable import UNREADABLE

_EVENT = msgspec.json.Decoder(dict[str, Any])
_CALLS = re.compile(rb'"tool_calls"\s*:\s*\[\s*\{')


def mend_whole(body: bytes) -> bytes:
    """Return an answer that is not streamed with calls that have ids, and arguments as text."""
    if b'"tool_calls"' not in body or _CALLS.search(body) is None:
        return body  # most have none, or an empty list
    try:
        told = _EVENT.decode(body)
        mended = False
        for choice in told["choices"]:
            if sum(map(_mend_one, choice["message"].get("tool_calls") or ())):
                mended = True
                if choice.get("finish_reason") == "stop":
                    choice["finish_reason"] = "tool_calls"
    except (*UNREADABLE, LookupError, TypeError, AttributeError):
        return body  # no answer that we know
    return msgspec.json.encode(told) if mended else body


def _mend_one(call: dict[str, Any]) -> bool:
    """Mend a whole call in place; say whether there was anything to mend."""
    function = call["function"]
    arguments, known = function.get("arguments"), bool(call.get("id"))
    if not known:
        call["id"] = _new_id()
    if not isinstance(arguments, str):
        function["arguments"] = _as_text({} if arguments is None else arguments)
    return not known or not isinstance(arguments, str)


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def _as_text(arguments: Any) -> str:
    return msgspec.json.encode(arguments).decode()


class CallMender:
    """Mutable; one for each stream that has calls."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int], str] = {}  # choice, index -> the call's id
        self._names: dict[tuple[int, int], str] = {}
        self.mended = False
        self._last: dict[int, int] = {}  # choice -> the index of its last call

    def mend(self, event: bytes) -> bytes:
        """Return an event whose calls can be put together."""
        told = _EVENT.decode(event_data(event) or b"")
        mended = False
        for choice in told.get("choices") or ():
            delta = choice.get("delta") or {}
            calls = delta.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                if isinstance(call, dict):
                    mended |= self._mend(call, choice.get("index") or 0)
                    mended |= delta.pop("function_call", None) is not None
        self.mended |= mended
        return write_event(msgspec.json.encode(told)) if mended else event

    @staticmethod
    def without_role(event: bytes) -> bytes:
        """Return an event less the role, which stands with the first event of a choice alone."""
        told = _EVENT.decode(event_data(event) or b"")
        for choice in told.get("choices") or ():
            (choice.get("delta") or {}).pop("role", None)
        return write_event(msgspec.json.encode(told))

    def _mend(self, call: dict[str, Any], choice: int) -> bool:
        """Mend a call in place; say whether there was anything to mend."""
        given = dict(call)
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        if type(call.get("index")) is not int:
            call["index"] = self._index(choice, call.get("id"), bool(function.get("name")))
        key = choice, call["index"]
        self._last[choice] = call["index"]
        if key not in self._ids:
            call["id"] = self._ids[key] = call.get("id") or _new_id()
            self._names[key] = function.get("name") or ""
        else:
            call.pop("id", None)
            if function.get("name") == self._names[key]:
                function = {name: value for name, value in function.items() if name != "name"}
                call["function"] = function
        if isinstance(function.get("arguments"), dict | list):
            call["function"] = function | {"arguments": _as_text(function["arguments"])}
        return call != given

    def _index(self, choice: int, call_id: str | None, named: bool) -> int:
        last = self._last.get(choice, -1)
        if call_id:
            known = (
                index for (at, index), one in self._ids.items() if (at, one) == (choice, call_id)
            )
            return next(known, last + 1)
        return last + 1 if named or last < 0 else last
