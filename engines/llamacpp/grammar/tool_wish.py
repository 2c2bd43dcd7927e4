"""What a chat answer must hold to: what its text must, and the calls of the tools at hand.

Owns: `tool_choice`, strict tools, how large their parameters may be.
Must not: know llguidance, vocabularies, or how a model writes a call.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engines.llamacpp.grammar.wish import (
    MOST_BYTES,
    Calls,
    UnsupportedGrammar,
    Wish,
    schema_part,
    wish_of,
)
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest

# More calls in one answer than this are a model that has lost its way.
MOST_CALLS = 16
_FREE = (None, "auto", "none")
_ANY_ARGUMENTS = '{"type":"object"}'


@dataclass(frozen=True, slots=True)
class _Function:
    """A function that may be called; `where` its `parameters`, a schema, stand in the request."""

    name: str
    where: str
    parameters: Any
    strict: bool


def wish_of_chat(request: ChatRequest) -> Wish | None:
    """Return what a chat answer must hold to; None when it is free.

    A forced tool call comes before `response_format`, which speaks of content.

    Raises:
        InvalidRequest: a field is malformed, too large, or excludes another one.
    """
    if request.tool_choice not in _FREE:
        return Wish("tool_choice", calls=_forced(request))
    wish = wish_of(request)
    if not request.tools or request.tool_choice == "none":
        return wish
    functions = _functions(request.tools)  # what is none is refused, also where nothing is held
    most = 1 if request.parallel_tool_calls is False else MOST_CALLS
    if wish is None:
        return _strict(request, functions, most)
    # With tools at hand a model may call one first and answer later.
    return Wish(wish.param, wish.answer, _calls(functions, most), wish.compact)


def _forced(request: ChatRequest) -> Calls:
    if request.tool_choice != "required" and not isinstance(request.tool_choice, dict):
        raise InvalidRequest(
            "'tool_choice' must be 'none', 'auto', 'required', or name a function.",
            param="tool_choice",
        )
    if not request.tools:
        raise InvalidRequest("'tool_choice' needs 'tools' to choose from.", param="tool_choice")
    if request.ignore_eos:
        raise InvalidRequest(
            "'ignore_eos' never ends, and a tool call must; leave one of them out.",
            param="ignore_eos",
        )
    functions = _functions(request.tools)
    most = 1 if request.parallel_tool_calls is False else MOST_CALLS
    if request.tool_choice == "required":
        return _calls(functions, most)
    asked = request.tool_choice.get("function")
    name = asked.get("name") if isinstance(asked, dict) else request.tool_choice.get("name")
    chosen = [function for function in functions if function.name == name]
    if not chosen:
        raise InvalidRequest(
            f"'tool_choice' names the function {name!r}, which is not among 'tools'.",
            param="tool_choice",
        )
    return _calls(chosen[:1], 1)


def _strict(request: ChatRequest, functions: Sequence[_Function], most: int) -> Wish | None:
    """Return the wish for calls as `strict` tools want them; others may be called with anything."""
    if not any(function.strict for function in functions):
        return None
    if request.ignore_eos:
        raise InvalidRequest(
            "'ignore_eos' never ends, and a call of a strict tool must; leave one of them out.",
            param="ignore_eos",
        )
    anything: Any = {"type": "object"}
    wanted = [f if f.strict else replace(f, parameters=anything) for f in functions]
    return Wish("tools", calls=_calls(wanted, most), free=True)


def _functions(tools: Sequence[Any]) -> list[_Function]:
    found: list[_Function] = []
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str) or not name:
            raise InvalidRequest(
                "A tool must be {'type': 'function', 'function': {'name': ..., ...}}: this engine "
                "supports no others.",
                param=f"tools[{index}]",
            )
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        where, strict = f"tools[{index}].function.parameters", function.get("strict") is True
        found.append(_Function(name, where, parameters, strict))
    return found


def _calls(functions: Sequence[_Function], most: int) -> Calls:
    names = tuple(function.name for function in functions)
    parameters = tuple(
        schema_part(f.where, f.parameters, "tools", None if f.strict else _ANY_ARGUMENTS)
        for f in functions
    )
    size = sum(len(part.text) for part in parameters)
    if size > MOST_BYTES:
        raise UnsupportedGrammar(
            f"The parameters of all tools have {size} characters; at most {MOST_BYTES} are read.",
            param="tools",
        )
    return Calls(names, parameters, most)
