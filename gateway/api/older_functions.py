"""OpenAI's older way to have functions called, in the words that every engine knows, and back.

| a client sends or gets | engines get or send |
|---|---|
| `functions` | `tools` |
| `function_call` beside them | `tool_choice` |
| a message's `function_call` | `tool_calls`, with an id of ours |
| the role `function` | `tool`, with the id of the last call by that name |
| an answer's `function_call`, the reason `function_call` | the first of `tool_calls` |

Owns: both translations. Must not: relay, or know who answers.
"""

from typing import Any

import msgspec

from engines.protocol.events import EventSplitter, event_data, write_event
from engines.protocol.requests import ChatRequest
from engines.protocol.unreadable import UNREADABLE
from gateway.relay.exchange import JSON, Headers, Reply

_ANY = msgspec.json.Decoder(dict[str, Any])
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_older(request: object) -> bool:
    """Say whether a request offers functions in the older way, or tells what one has returned."""
    return isinstance(request, ChatRequest) and bool(
        request.older_functions or request.messages[-1].role == "function"
    )


def as_tools(body: bytes) -> bytes:
    """Return a chat request in today's words; what is no part of that keeps its bytes."""
    fields: dict[str, Any] = dict(_FIELDS.decode(body))
    functions, choice = (
        msgspec.json.decode(fields.pop(name, b"null")) for name in ("functions", "function_call")
    )
    if functions and "tools" not in fields:
        fields["tools"] = [{"type": "function", "function": one} for one in functions]
        fields["parallel_tool_calls"] = False  # there is room for one call in an answer
        if isinstance(choice, dict):
            choice = {"type": "function", "function": choice}
        if choice is not None:
            fields["tool_choice"] = choice
    fields["messages"] = _with_ids(msgspec.json.decode(fields["messages"]))
    return msgspec.json.encode(fields)


def _with_ids(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages in which calls have ids, and results say whose they are."""
    ids: dict[Any, str] = {}
    told = []
    for number, given in enumerate(messages):
        message = dict(given)
        call = message.pop("function_call", None)
        if isinstance(call, dict) and "tool_calls" not in message:
            ids[call.get("name")] = made = f"call_{number}"
            message["tool_calls"] = [{"id": made, "type": "function", "function": call}]
        elif message.get("role") == "function":
            made = ids.get(message.get("name"), f"call_{number}")
            message |= {"role": "tool", "tool_call_id": made}
        told.append(message)
    return told


class OlderReply:
    """A `Reply` to a client that knows `function_call` alone."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._events: EventSplitter | None = None

    @property
    def started(self) -> bool:
        """Whether the answer has begun."""
        return self._reply.started

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        self._events = None if JSON in headers else EventSplitter()
        await self._reply.start(status, headers)

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body: whole events, or all of an answer."""
        if self._events is None:
            body = _in_older_words(body)
        else:
            events = self._events.feed(body)
            body = b"".join(map(_event_in_older_words, events))
            body += b"" if more else self._events.rest()
        if body or not more:
            await self._reply.write(body, more=more)


def _event_in_older_words(event: bytes) -> bytes:
    data = event_data(event)
    if data is None or b"tool_calls" not in data:
        return event
    told = _in_older_words(data)
    return event if told == data else write_event(told)


def _in_older_words(body: bytes) -> bytes:
    """Return an answer, or a part of one, with its first call as a `function_call`."""
    try:
        told = _ANY.decode(body)
        for choice in told["choices"]:
            said = choice.get("message") or choice.get("delta") or {}
            calls = said.pop("tool_calls", None) or ()
            first = next((call for call in calls if not call.get("index")), None)
            if first is not None:
                said["function_call"] = first["function"]
            if choice.get("finish_reason") == "tool_calls":
                choice["finish_reason"] = "function_call"
    except (*UNREADABLE, KeyError, TypeError, AttributeError):
        return body  # an error, or no answer that we know
    return msgspec.json.encode(told)
