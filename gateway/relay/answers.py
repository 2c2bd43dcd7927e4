"""Reading and editing answers that are not streamed.

Owns: usage and the model's name in a JSON answer; foreign errors turned into OpenAI's shape.
Must not: know how the answer came.
"""

import re
from typing import Any

import msgspec
from msgspec.structs import replace

from engines.protocol.answers import Usage
from engines.protocol.unreadable import UNREADABLE
from gateway.errors import (
    ApiError,
    ContextLengthExceeded,
    EngineEnding,
    EngineFailed,
    EngineTimeout,
    InvalidRequest,
    RateLimited,
    RefusedMidway,
)
from gateway.relay.bodies import model_fields
from gateway.relay.chunks import says_error
from gateway.relay.odd_usage import usage_in

MAX_ANSWER_BYTES = 256 * 1024 * 1024

_CONTEXT_WORDS = re.compile(
    r"context (?:length|size|window)|maximum (?:model|context|prompt) length|max_model_len"
    r"|exceeds? the available context|longer than the (?:maximum|context)"
    r"|prompt is too long|exceeds? the maximum number of tokens",
    re.IGNORECASE,
)


class _Sign(msgspec.Struct, frozen=True):
    """How a kind of engine says that it is full or ending, in a status that may mean anything.

    By a `code` where it has one, else by `words` of its message.
    """

    engine: str
    status: int
    means: type[RateLimited | EngineEnding]
    code: str | None = None
    words: re.Pattern[str] | None = None

    def stands_in(self, status: int, message: str, code: str | None) -> bool:
        """Say whether an error has it."""
        if status != self.status:
            return False
        if self.words is None:
            return code == self.code
        return self.words.search(message) is not None


_SIGNS = (
    _Sign("llamacpp", 503, RateLimited, code="engine_overloaded"),
    _Sign("llamacpp", 503, EngineEnding, code="draining"),
    # Its queue has as many requests or tokens as it may (`max_waiting`); it names no time.
    _Sign("vllm", 503, RateLimited, words=re.compile("cannot accept new requests|backlog limit")),
    # While it drains, with its /health at 200 all the time.
    _Sign(
        "vllm", 500, EngineEnding, words=re.compile("cannot schedule new futures after shutdown")
    ),
)
_FULL_S = 1.0
_LOOK_AGAIN_S = 5.0

_TOO_LONG = "The prompt is too long for the engine."
_KEY_REFUSED = "The engine refused the gateway's key. Set the engine's api_key in routing.yaml."
_UNKNOWN_THERE = (
    "The engine does not know this endpoint or model. "
    "Check the engine's url and the model's upstream_model in routing.yaml."
)
_NOT_THE_CLIENTS = {401: _KEY_REFUSED, 403: _KEY_REFUSED, 404: _UNKNOWN_THERE, 405: _UNKNOWN_THERE}


class _Head(msgspec.Struct, frozen=True):
    model: str | None = None
    usage: Usage | None = None
    error: msgspec.Raw = msgspec.Raw()


class _LooseHead(msgspec.Struct, frozen=True):
    model: Any = None
    usage: Any = None
    error: msgspec.Raw = msgspec.Raw()


class _Late(msgspec.Struct, frozen=True):
    code: int | str | None = None
    type: str | None = None


class _LateError(msgspec.Struct, frozen=True):
    error: _Late = _Late()


_CLIENTS_FAULT = "invalid_request_error"
_REFUSED = (400, 413, 422)
_LATE = msgspec.json.Decoder(_LateError)
_HEAD = msgspec.json.Decoder(_Head)
_LOOSE_HEAD = msgspec.json.Decoder(_LooseHead)
_ANY = msgspec.json.Decoder()


def read_usage(body: bytes) -> tuple[str | None, Usage | None]:
    """Return the model's name and the usage that a JSON answer states, None where it has none.

    Raises:
        ApiError: it is an error, which LM Studio and others send with status 200 as well.
        EngineFailed: the answer is not a JSON object.
    """
    try:
        head = _HEAD.decode(body)
    except msgspec.ValidationError:
        head = _read_loosely(body)
    except UNREADABLE:
        raise _unreadable() from None
    if says_error(head.error):
        raise streamed_error(body, begun=False)
    return head.model, _with_prompt(head.usage)


def _with_prompt(usage: Usage | None) -> Usage | None:
    """Return a usage with the prompt's tokens, where it says the total alone: Jina's, Voyage's."""
    if usage is None or usage.prompt_tokens:
        return usage
    return replace(usage, prompt_tokens=max(0, usage.total_tokens - usage.completion_tokens))


def _read_loosely(body: bytes) -> _Head:
    try:
        head = _LOOSE_HEAD.decode(body)
    except UNREADABLE:
        raise _unreadable() from None
    model = head.model if isinstance(head.model, str) else None
    return _Head(model, usage_in(head.usage), head.error)


def _unreadable() -> EngineFailed:
    return EngineFailed("The engine's answer is not readable JSON. The engine's log says more.")


def rename_model(body: bytes, told: str, served: str) -> bytes:
    """Put the served name where the engine told its own; other bytes stay.

    A quote inside a JSON string is escaped, so the bytes `"model":"..."` can only be a field.
    """
    if told == served:
        return body
    for old, new in model_fields(told, served):
        if old in body:
            return body.replace(old, new, 1)
    name = msgspec.json.encode(served)
    pattern = rb'("model"\s*:\s*)' + re.escape(msgspec.json.encode(told))
    return re.sub(pattern, lambda found: found.group(1) + name, body, count=1)


def foreign_error(status: int, body: bytes, rest_s: float | None = None) -> ApiError:
    """Turn an engine's error answer into ours; see the table for what each status means.

    `rest_s` is how long it asks to be left alone, told to clients where it is busy (429, 503).

    | engine says | the client gets | because |
    |---|---|---|
    | 400, 413, 422 | 400 with the engine's words | the request is wrong for this model |
    | 429 | 429 | the engine is full |
    | 408, 504 | 504 | the engine was too slow |
    | what `_SIGNS` says that it says when it is full | 429 | the engine is full |
    | what they say that it says when it drains | 503 | it ends; nothing was begun |
    | 401, 403, 404, 405 | 502 | our key, our URL or our model name is wrong, not the client's |
    | anything else | 502 | the engine failed |
    """
    error = _foreign(status, body)
    if isinstance(error, EngineEnding):
        error.retry_after_s = _LOOK_AGAIN_S
    elif status in (429, 503):
        full = status == 503 and isinstance(error, RateLimited)
        error.retry_after_s = _FULL_S if full and rest_s is None else rest_s
    return error


def streamed_error(data: bytes, *, begun: bool) -> ApiError:
    """Turn an error event of a stream, or an error with status 200, into ours.

    Before the answer has begun it may say what a status would have said: vLLM refuses some requests
    only then, with the status as `code`. Behind that a status is not believed, as some engines call
    every failure a 400, but OpenAI's word for a client's fault is.
    """
    message, param, code = error_words(data)
    late = _late_in(data)
    named = late.type == _CLIENTS_FAULT
    status = late.code if isinstance(late.code, int) else 400 if named else None
    if begun and named and status in _REFUSED:
        return RefusedMidway(message, param=param, code=code)
    if not begun and status in (*_REFUSED, 429):
        return foreign_error(status, data)
    return EngineFailed(message or f"The engine failed{' in the middle' if begun else ''}.")


def _late_in(data: bytes) -> _Late:
    try:
        return _LATE.decode(data).error
    except UNREADABLE:
        return _Late()


def _foreign(status: int, body: bytes) -> ApiError:
    message, param, code = error_words(body)
    if status in _REFUSED:
        # Groq's words say nothing of a context, its code does.
        if code == ContextLengthExceeded.default_code or _CONTEXT_WORDS.search(message):
            return ContextLengthExceeded(message or _TOO_LONG, param=param or "messages")
        return InvalidRequest(message or "The engine refused the request.", param=param, code=code)
    signs = (sign.means for sign in _SIGNS if sign.stands_in(status, message, code))
    means = RateLimited if status == 429 else next(signs, None)
    if means is RateLimited:
        return RateLimited(message or "The engine takes no more requests now; try again later.")
    if status in (408, 504):
        return EngineTimeout("The engine did not answer in time.")
    if means is EngineEnding:
        return EngineEnding("The engine is ending and takes no new requests.")
    return EngineFailed(_NOT_THE_CLIENTS.get(status, f"The engine failed with status {status}."))


def error_words(body: bytes) -> tuple[str, str | None, str | None]:
    """Return message, param and code of an error body in any of the shapes engines use."""
    try:
        told: Any = _ANY.decode(body)
    except UNREADABLE:
        return "", None, None
    error = told.get("error", told) if isinstance(told, dict) else None
    if isinstance(error, str):
        return error, None, None
    if not isinstance(error, dict):
        return "", None, None
    message = error.get("message") or error.get("detail") or ""
    param, code = error.get("param"), error.get("code")
    return (
        message if isinstance(message, str) else msgspec.json.encode(message).decode(),
        param if isinstance(param, str) else None,
        code if isinstance(code, str) else None,
    )
