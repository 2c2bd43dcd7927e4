"""Mending tool calls that engines stream in ways which OpenAI's clients cannot put together.

Owns: the indices, ids and arguments of one stream's calls.
Must not: see any other event; an event with nothing to mend stays as it came.

| an engine sends | clients get |
|---|---|
| no `index` | one for each call: an id or a name that is new begins another |
| `arguments` that are an object | its JSON as text |
| no `id` with a call's first event | one of ours |
"""

import uuid
from typing import Any

import msgspec

from engines.protocol.events import write_event

_EVENT = msgspec.json.Decoder(dict[str, Any])


class CallMender:
    """Mutable; one for each stream that has calls."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int], str] = {}  # choice, index -> the call's id
        self._last: dict[int, int] = {}  # choice -> the index of its last call

    def mend(self, event: bytes, data: bytes) -> bytes:
        """Return an event whose calls can be put together; `data` is its JSON."""
        told = _EVENT.decode(data)
        mended = False
        for choice in told.get("choices") or ():
            for call in (choice.get("delta") or {}).get("tool_calls") or ():
                if isinstance(call, dict):
                    mended |= self._mend(call, choice.get("index") or 0)
        return write_event(msgspec.json.encode(told)) if mended else event

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
            call["id"] = self._ids[key] = call.get("id") or f"call_{uuid.uuid4().hex[:24]}"
        if isinstance(function.get("arguments"), dict | list):
            arguments = msgspec.json.encode(function["arguments"]).decode()
            call["function"] = function | {"arguments": arguments}
        return call != given

    def _index(self, choice: int, call_id: str | None, named: bool) -> int:
        last = self._last.get(choice, -1)
        if call_id:
            known = (
                index for (at, index), one in self._ids.items() if (at, one) == (choice, call_id)
            )
            return next(known, last + 1)
        return last + 1 if named or last < 0 else last
