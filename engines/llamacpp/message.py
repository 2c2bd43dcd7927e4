"""From the parts of an answer to OpenAI's message, whole or as deltas.

Owns: which part becomes which field.
Must not: read text (`speech` does) or know ids and usage of answers.
"""

from collections.abc import Sequence

import msgspec

from engines.llamacpp.speech.parts import (
    CallBegan,
    CallBroke,
    CallEnded,
    CallGrew,
    Content,
    Part,
    Thought,
)
from engines.protocol.answers import ChatDelta, ChatMessage, FunctionCall, ToolCall, ToolCallDelta


def delta_of(parts: Sequence[Part]) -> ChatDelta:
    """Return what these parts add to a choice, all in one delta.

    What was told of a call cannot be called back: of one that broke, the untold rest is content.
    """
    content: list[str] = []
    thoughts: list[str] = []
    calls: dict[int, ToolCallDelta] = {}
    for part in parts:
        match part:
            case Content(text):
                content.append(text)
            case Thought(text):
                thoughts.append(text)
            case CallBegan(index, id_, name):
                calls[index] = ToolCallDelta(index, id_, "function", FunctionCall(name, ""))
            case CallGrew(index, text):
                calls[index] = _grown(calls.get(index, ToolCallDelta(index)), text)
            case CallBroke(_, _, untold):
                content.append(untold)
            case CallEnded():
                pass
    return ChatDelta(
        content="".join(content) or None,
        reasoning_content="".join(thoughts) or None,
        tool_calls=list(calls.values()) or None,
    )


def message_of(parts: Sequence[Part]) -> ChatMessage:
    """Return the message that all the parts of an answer amount to.

    A call that broke is left out, and its whole text is content. Content is null where there are
    calls and nothing else was said.
    """
    content: list[str] = []
    thoughts: list[str] = []
    begun: dict[int, CallBegan] = {}
    arguments: dict[int, str] = {}
    for part in parts:
        match part:
            case Content(text):
                content.append(text)
            case Thought(text):
                thoughts.append(text)
            case CallBegan(index, _, _):
                begun[index], arguments[index] = part, ""
            case CallGrew(index, text):
                arguments[index] += text
            case CallBroke(index, whole, _):
                del begun[index]
                content.append(whole)
            case CallEnded():
                pass
    calls = [
        ToolCall(call.id, FunctionCall(call.name, arguments[index]))
        for index, call in begun.items()
    ]
    return ChatMessage(
        "".join(content) or (None if calls else ""),
        reasoning_content="".join(thoughts) or msgspec.UNSET,
        tool_calls=calls or msgspec.UNSET,
    )


def _grown(call: ToolCallDelta, text: str) -> ToolCallDelta:
    told = call.function or FunctionCall()
    function = FunctionCall(told.name, (told.arguments or "") + text)
    return ToolCallDelta(call.index, call.id, call.type, function)
