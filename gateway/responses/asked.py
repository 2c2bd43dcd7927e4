"""A request of the Responses API as one for chat.

Owns: its fields, what each becomes, and how an error names them.
Must not: read conversations (`turns` does).
"""

import re
from typing import Annotated, Any

import msgspec

from engines.protocol.errors import ApiError, InvalidRequest
from engines.protocol.requests import Budget
from gateway.responses.turns import item_of, messages_of

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
# What chat does not know, or has in other words. Everything else is passed on as it came.
_OWN = frozenset(
    {
        "background",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "n",
        "previous_response_id",
        "prompt",
        "reasoning",
        "store",
        "stream_options",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "truncation",
    }
)
# What of `include` has a counterpart in a chat; the rest asks for what is never left out here.
_LOGPROBS = "message.output_text.logprobs"
_BOUND = "max_output_tokens"
# Other fields that are called otherwise in a chat, and errors about it name.
_RENAMED = (
    ("max_completion_tokens", _BOUND),
    (r"response_format(?:\.json_schema)?", "text.format"),
    ("reasoning_effort", "reasoning.effort"),
    (r"(tools\[\d+\])\.function", r"\1"),
)
_MESSAGE = r"messages(?:\[(\d+)\]((?:\.\w+|\[\d+\])*))?"
_KEPT = ("previous_response_id", "conversation", "prompt")


class ResponsesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/v1/responses`. `input` is a text, or the items of the whole conversation.

    Nothing is kept: `previous_response_id`, `conversation`, `prompt` and `background` are refused.
    """

    input: str | list[dict[str, Any]]
    model: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Budget | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    include: list[str] | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    background: bool | None = None


def as_chat(request: ResponsesRequest, body: bytes) -> bytes:
    """Return the body of the request for chat that means the same.

    Raises:
        InvalidRequest: it needs what is kept nowhere, or what no chat has.
    """
    for name in _KEPT:
        if getattr(request, name) is not None:
            raise InvalidRequest(
                f"'{name}' names something that is not stored here: send the whole conversation as "
                "'input'.",
                param=name,
            )
    if request.background:
        raise InvalidRequest("'background' is not supported: leave it out.", param="background")
    given = {name: value for name, value in _FIELDS.decode(body).items() if name not in _OWN}
    logprobs = _LOGPROBS in (request.include or ())
    new = {
        "messages": messages_of(request.instructions, request.input),
        "max_completion_tokens": request.max_output_tokens,
        "tools": _tools(request.tools or ()),
        "tool_choice": _choice(request.tool_choice),
        "response_format": _form(request.text or {}),
        "logprobs": logprobs or None,
        "top_logprobs": request.top_logprobs if logprobs else None,
        "reasoning_effort": (request.reasoning or {}).get("effort"),
        "stream_options": {"include_usage": True} if request.stream else None,
    }
    return msgspec.json.encode(given | {name: one for name, one in new.items() if one is not None})


def error_of(request: ResponsesRequest, error: ApiError) -> ApiError:
    """Return an error about the chat as one about the request, whose fields have other names."""
    if (error.param or "").startswith("input"):
        return error  # it is about the request, and quotes it

    def place(found: re.Match[str]) -> str:
        item = "input" if found[1] is None else _item_of(request, int(found[1]))
        return f"{item}{found[2]}" if item.endswith("]") else item  # a text has no parts

    for old, new in ((_MESSAGE, place), *_RENAMED):
        error.message = re.sub(rf"\b{old}", new, error.message)
        if error.param is not None:
            error.param = re.sub(rf"^{old}", new, error.param)
    return error


def _item_of(request: ResponsesRequest, at: int) -> str:
    """Return where the item stands of which a message was made, or the first of several."""
    if at == 0 and request.instructions:
        return "instructions"
    items = [] if isinstance(request.input, str) else request.input
    index = item_of(request.instructions, items, at)
    return "input" if index is None else f"input[{index}]"


def _tools(given: Any) -> list[dict[str, Any]] | None:
    tools = []
    for index, tool in enumerate(given):
        if tool.get("type") != "function":
            raise InvalidRequest(
                f"Tools must be of type 'function', not '{tool.get('type')}'.",
                param=f"tools[{index}].type",
            )
        function = {name: part for name, part in tool.items() if name != "type"}
        tools.append({"type": "function", "function": function})
    return tools or None


def _choice(given: str | dict[str, Any] | None) -> Any:
    if not isinstance(given, dict) or given.get("type") != "function":
        return given
    return {"type": "function", "function": {"name": given.get("name")}}


def _form(text: dict[str, Any]) -> Any:
    form = text.get("format")
    if form is None:
        return None
    if not isinstance(form, dict):
        raise InvalidRequest("A format is an object with a 'type'.", param="text.format")
    if form.get("type") == "text":
        return None
    if form.get("type") != "json_schema":
        return form
    schema = {name: part for name, part in form.items() if name != "type"}
    return {"type": "json_schema", "json_schema": schema}
