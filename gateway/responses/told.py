"""What the Responses API tells: a response, its items, and what a chat's answer is of it.

Owns: the shapes. Must not: know streams (`events` does).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import msgspec

from engines.protocol.unreadable import UNREADABLE
from gateway.relay.odd_usage import tokens_in
from gateway.responses.asked import ResponsesRequest
from gateway.responses.turns import text_in

_PREFIXES = {"message": "msg", "refusal": "msg", "reasoning": "rs", "function_call": "fc"}


class InputTokens(msgspec.Struct, frozen=True):
    """Of the prompt's tokens, those that came from the cache."""

    cached_tokens: int = 0


class OutputTokens(msgspec.Struct, frozen=True):
    """Of the answer's tokens, those that were thoughts."""

    reasoning_tokens: int = 0


class ResponsesUsage(msgspec.Struct, frozen=True):
    """Tokens of one request."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokens = InputTokens()
    output_tokens_details: OutputTokens = OutputTokens()


class ResponsesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an answer; what the request said comes back with it. `output` are its items.

    `weighbridge` is what the gateway says of it, as in a chat's last event.
    """

    id: str
    object: str = "response"
    created_at: int
    status: str = "in_progress"
    model: str
    output: tuple[dict[str, Any], ...] = ()
    usage: ResponsesUsage | None = None
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, Any] | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, Any] = {}
    parallel_tool_calls: bool = True
    previous_response_id: None = None
    reasoning: dict[str, Any] = {}
    store: bool = False
    temperature: float | None = None
    text: dict[str, Any] = {}
    tool_choice: Any = "auto"
    tools: list[dict[str, Any]] = []
    top_p: float | None = None
    truncation: str = "disabled"
    weighbridge: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class ResponsesEvent(msgspec.Struct, frozen=True):
    """One event of a stream; what else is in it depends on its type."""

    type: str
    sequence_number: int


@dataclass(slots=True)
class Item:
    """An item of the output while it grows; `text` is what was said, thought, or the arguments.

    A refusal is a message with a part of another kind. `logprobs` say of a message's tokens, in a
    chat's words, how likely they were.
    """

    kind: str
    of: str
    at: int
    text: str = ""
    call_id: str = ""
    name: str = ""
    logprobs: list[Any] = field(default_factory=list)
    status: str = "completed"

    @property
    def id(self) -> str:
        """Its name, which no other item of any response has."""
        return f"{_PREFIXES[self.kind]}_{self.of}_{self.at}"

    def part(self) -> dict[str, Any]:
        """Return its one part."""
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": self.text}
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": self.text}
        told = {"type": "output_text", "text": self.text, "annotations": []}
        return told | {"logprobs": [*self.logprobs]}

    def told(self, *, begun: bool = False) -> dict[str, Any]:
        """Return it as clients get it; without its parts where it has only `begun`."""
        status = "in_progress" if begun else self.status
        kind = "message" if self.kind == "refusal" else self.kind
        told: dict[str, Any] = {"id": self.id, "type": kind, "status": status}
        if self.kind == "function_call":
            return told | {"call_id": self.call_id, "name": self.name, "arguments": self.text}
        parts = [] if begun else [self.part()]
        if self.kind == "reasoning":
            return told | {"summary": [], "content": parts}
        return told | {"role": "assistant", "content": parts}


def begun(request: ResponsesRequest, chat: dict[str, Any]) -> ResponsesAnswer:
    """Return the response that answers `request`, begun with the head of a chat's answer."""
    given = msgspec.structs.asdict(request)
    echoed = {
        name: given[name]
        for name in ResponsesAnswer.__struct_fields__
        if name in given and name != "model" and given[name] is not None
    }
    return ResponsesAnswer(
        id=f"resp_{_bare(chat)}",
        created_at=chat.get("created") or 0,  # some servers leave out what no chat needs
        model=chat.get("model") or request.model or "",
        **echoed,
    )


def cut_by(reason: str | None, items: list[Item]) -> str | None:
    """Return what cut a response short, if anything; its items are then marked as cut."""
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reason or "")
    if cut:
        cut_off(items)
    return cut


def cut_off(items: list[Item]) -> None:
    """Mark what is not whole of a response that broke off: its last item, calls without all JSON.

    Behind such a call may stand what an engine told of its rest as text.
    """
    for item in items:
        called = item.kind == "function_call"
        if item is items[-1] or (called and not _is_json(item.text)):
            item.status = "incomplete"


def ended(
    answer: ResponsesAnswer, items: list[Item], reason: str | None, usage: dict[str, Any] | None
) -> ResponsesAnswer:
    """Return a response that is whole, or as far as its bound let it come."""
    cut = cut_by(reason, items)
    return msgspec.structs.replace(
        answer,
        status="incomplete" if cut else "completed",
        incomplete_details={"reason": cut} if cut else None,
        output=tuple(item.told() for item in items),
        usage=_usage(usage),
    )


def whole(request: ResponsesRequest, chat: dict[str, Any]) -> ResponsesAnswer:
    """Return the response that a chat's whole answer is."""
    choice, of = chat["choices"][0], _bare(chat)
    message, items = choice["message"], list[Item]()
    for kind, text in texts_in(message):
        items.append(Item(kind, of, len(items), text))
    if items and not message.get("tool_calls"):  # else they are of more than what is said
        tokens = logprobs_in(choice.get("logprobs"))
        items[-1].logprobs = tokens if len(items) == 1 else those_of(items[-1].text, tokens)
    for call in message.get("tool_calls") or ():
        function = call["function"]
        items.append(
            Item(
                "function_call",
                of,
                len(items),
                function["arguments"],
                call_id=call["id"],
                name=function["name"],
            )
        )
    return ended(begun(request, chat), items, choice.get("finish_reason"), chat.get("usage"))


def logprobs_in(told: Any) -> list[Any]:
    """Return what the `logprobs` of a chat's choice, or of a part of one, tell of its tokens."""
    content = told.get("content") if isinstance(told, dict) else None
    return [*content] if isinstance(content, list) else []


def those_of(text: str, tokens: list[Any]) -> list[Any]:
    """Return the tokens that a text was made of, which others went before; none if it is unclear.

    It is where letters are of several tokens, each of which is told as a sign that stands for none.
    """
    texts = [str(one.get("token", "")) if isinstance(one, dict) else "" for one in tokens]
    begins = "".join(texts).rfind(text)
    if begins < 0:
        return []
    ends = accumulate(map(len, texts))
    spans = zip(tokens, map(len, texts), ends, strict=True)
    until = begins + len(text)
    return [token for token, size, end in spans if end > begins and end - size < until]


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except UNREADABLE:
        return False
    return True


def texts_in(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the texts of a chat's message, or of its delta, each behind its item's kind."""
    said = (
        ("reasoning", message.get("reasoning_content") or message.get("reasoning")),
        ("message", message.get("content")),
        ("refusal", message.get("refusal")),
    )
    for kind, content in said:
        if text := text_in(content):
            yield kind, text


def _bare(chat: dict[str, Any]) -> str:
    return str(chat.get("id") or "").removeprefix("chatcmpl-")


def _usage(told: Any) -> ResponsesUsage | None:
    if not isinstance(told, dict):
        return None
    return ResponsesUsage(
        tokens_in(told, "prompt_tokens"),
        tokens_in(told, "completion_tokens"),
        tokens_in(told, "total_tokens"),
        InputTokens(tokens_in(told.get("prompt_tokens_details"), "cached_tokens")),
        OutputTokens(tokens_in(told.get("completion_tokens_details"), "reasoning_tokens")),
    )
