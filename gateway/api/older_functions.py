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

from engines.protocol.events import event_data, write_event
from engines.protocol.requests import ChatRequest
from engines.protocol.unreadable import UNREADABLE
from gateway.relay.rewording import RewordedReply

_ANY = msgspec.json.Decoder(dict[str, Any])
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_older(request: object) -> bool:
    """Say whether a request offers functions in the older way, or tells what one has returned."""
    if not isinstance(request, ChatRequest):
        return False
    if request.older_functions or request.messages[-1].role == "function":
        return True
    return not request.tools and any(one.role == "function" for one in request.messages)


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
    ids: dict[str, str] = {}
    told = []
    for number, given in enumerate(messages):
        message = dict(given)
        call = message.pop("function_call", None)
        if isinstance(call, dict) and "tool_calls" not in message:
            made = f"call_{number}"
            if isinstance(call.get("name"), str):
                ids[call["name"]] = made
            message["tool_calls"] = [{"id": made, "type": "function", "function": call}]
        elif message.get("role") == "function":
            made = ids.get(message.get("name") or "", f"call_{number}")
            message |= {"role": "tool", "tool_call_id": made}
        told.append(message)
    return told


class OlderReply(RewordedReply):
    """A `Reply` to a client that knows `function_call` alone."""

    def whole(self, body: bytes) -> bytes:
        """Return an answer in older words."""
        return _in_older_words(body)

    def event(self, event: bytes) -> bytes:
        """Return an event in older words, the same where it tells of no call."""
        data = event_data(event)
        if data is None or b"tool_calls" not in data:
            return event
        told = _in_older_words(data)
        return event if told == data else write_event(told)

    def rest(self, rest: bytes) -> bytes:
        """Return it as it came."""
        return rest


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
