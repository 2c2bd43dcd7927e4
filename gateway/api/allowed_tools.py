"""Tools of which a request allows some only, in words that every engine knows.

Owns: `tool_choice` of the type `allowed_tools`. Must not: know what tools are for.
"""

from typing import Any

import msgspec

from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MODES = ("auto", "required")


def allows_some(request: object) -> bool:
    """Say whether a request names the tools that may be called of those that it offers."""
    choice = request.tool_choice if isinstance(request, ChatRequest) else None
    return isinstance(choice, dict) and choice.get("type") == "allowed_tools"


def only_allowed(request: ChatRequest, body: bytes) -> bytes:
    """Return the body with the allowed tools alone; everything else keeps its bytes.

    Raises:
        InvalidRequest: one is not offered, or nothing says how they are to be called.
    """
    choice: dict[str, Any] = request.tool_choice
    said = choice.get("allowed_tools", choice)  # the Responses API has it all in one
    mode = said.get("mode") if isinstance(said, dict) else None
    if mode not in _MODES or not isinstance(said.get("tools"), list):
        raise InvalidRequest(
            "'allowed_tools' needs a 'mode', 'auto' or 'required', and the 'tools'.",
            param="tool_choice",
        )
    offered = {_name(tool): tool for tool in request.tools or ()}
    names = [_name(tool) for tool in said["tools"]]
    unknown = next((name for name in names if name not in offered), None)
    if unknown is not None or not names:
        what = f"the function {unknown!r}, which is not among 'tools'" if names else "no tool"
        raise InvalidRequest(f"'tool_choice' allows {what}.", param="tool_choice")
    fields: dict[str, Any] = dict(_FIELDS.decode(body))
    fields |= {"tools": [offered[name] for name in dict.fromkeys(names)], "tool_choice": mode}
    return msgspec.json.encode(fields)


def _name(tool: Any) -> str:
    function = tool.get("function", tool) if isinstance(tool, dict) else {}
    return str(function.get("name")) if isinstance(function, dict) else ""
