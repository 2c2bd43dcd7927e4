"""The items of the Responses API as the messages of a chat.

| an item | becomes |
|---|---|
| `message`, or one without a type | a message |
| `function_call` | one of the `tool_calls` of the assistant's turn |
| `function_call_output` | a message of the role `tool` |
| `reasoning` | what the assistant's turn was thought with |

Owns: this table, and the parts of a message. Must not: know any other field of a request.
"""

from collections.abc import Sequence
from typing import Any

from engines.protocol.errors import InvalidRequest

_Turn = dict[str, Any]


def messages_of(instructions: str | None, given: str | Sequence[dict[str, Any]]) -> list[_Turn]:
    """Return the messages.

    Raises:
        InvalidRequest: an item or a part of one has no counterpart in a chat.
    """
    turns = _opening(instructions)
    if isinstance(given, str):
        return [*turns, {"role": "user", "content": given}]
    for index, item in enumerate(given):
        _add(turns, item, f"input[{index}]")
    return turns


def item_of(instructions: str | None, items: Sequence[dict[str, Any]], at: int) -> int | None:
    """Return which item the message at this place was made of, the first where it was several.

    None where there are not as many messages; `items` are some of which messages were made.
    """
    turns = _opening(instructions)
    for index, item in enumerate(items):
        _add(turns, item, "")
        if len(turns) > at:
            return index
    return None


def _opening(instructions: str | None) -> list[_Turn]:
    return [{"role": "system", "content": instructions}] if instructions else []


def _add(turns: list[_Turn], item: dict[str, Any], where: str) -> None:
    match item.get("type", "message"):
        case "message":
            _add_message(turns, item, where)
        case "function_call":
            _add_call(turns, item)
        case "function_call_output":
            turns.append(_result(item, where))
        case "reasoning":
            thought = _texts(item.get("content")) or _texts(item.get("summary"))
            turns.append({"role": "assistant", "content": None, "reasoning_content": thought})
        case kind:
            hint = " Nothing is stored: send the item; 'store': false makes clients do so."
            hint = hint if kind == "item_reference" else ""
            raise InvalidRequest(
                f"Items of type '{kind}' are not supported.{hint}", param=f"{where}.type"
            )


def _add_message(turns: list[_Turn], item: dict[str, Any], where: str) -> None:
    role, content = item.get("role"), item.get("content")
    if role != "assistant":
        turns.append({"role": role, "content": _content(content, f"{where}.content")})
        return
    text = _texts(content) if content is None or isinstance(content, list) else content
    last = turns[-1] if turns else {}
    if last.get("role") == "assistant" and last["content"] is None and "tool_calls" not in last:
        last["content"] = text
    else:
        turns.append({"role": "assistant", "content": text})


def _add_call(turns: list[_Turn], item: dict[str, Any]) -> None:
    if not turns or turns[-1]["role"] != "assistant":
        turns.append({"role": "assistant", "content": None})
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    call = {"id": item.get("call_id"), "type": "function", "function": function}
    turns[-1].setdefault("tool_calls", []).append(call)


def _result(item: dict[str, Any], where: str) -> _Turn:
    output = _content(item.get("output"), f"{where}.output")
    if not isinstance(output, str | list):
        raise InvalidRequest(
            "The output of a function is a text, or a list of parts.", param=f"{where}.output"
        )
    return {"role": "tool", "tool_call_id": item.get("call_id"), "content": output}


def text_in(content: Any) -> str:
    """Return a text as it is, and of parts, as Mistral's answers have, those that are text."""
    return content if isinstance(content, str) else _texts(content)


def _texts(parts: Any) -> str:
    """Return the texts of parts, whatever kind they are of, one after the other."""
    listed = parts if isinstance(parts, list) else []
    known = [part for part in listed if isinstance(part, dict)]
    found = [part.get("text") or part.get("refusal") for part in known]
    return "".join(text for text in found if isinstance(text, str))


def _content(given: Any, where: str) -> Any:
    """Return a content as chat has it: a text stays one, and what is one text becomes it."""
    if not isinstance(given, list):
        return given
    parts = [_part(part, f"{where}[{index}]") for index, part in enumerate(given)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts


def _part(part: Any, where: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text")}
    if kind == "input_image" and part.get("image_url"):
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    raise InvalidRequest(
        "Parts must be 'input_text', or 'input_image' with an 'image_url': no files are stored.",
        param=f"{where}.type",
    )
