"""Going on with a stream whose engine has broken: where that is exact, and what another is asked.

Owns: the reasons against it; the request for the rest of an answer.
Must not: choose the other engine, or relay.

Nothing has been said yet: the same request is asked again. Otherwise the answer so far becomes its
own beginning: the last message of a conversation (`continue_final_message`), the end of a prompt.
At temperature 0 the rest is that of the unbroken answer; above it is a valid one.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from engines.protocol.requests import ROOM, ChatRequest, CompletionRequest, Sampling
from engines.protocol.unreadable import UNREADABLE
from gateway.errors import ContinuationImpossible
from gateway.relay.asked import COMPLETION_TOKENS, choices_of
from gateway.relay.told import Told

_FORMS = ("structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar")
# vLLM's: what they ask for is told of the prompt, or once, and would be told anew of a longer one.
_OF_THE_PROMPT = ("prompt_logprobs", "return_token_ids", "truncate_prompt_tokens")
# How thoughts begin or end that an engine leaves in the content; templates move or drop them.
_RAW_THOUGHT = re.compile(
    r"^\s*(?:<(?:seed:)?think(?:ing)?>|\[THINK\]|◁think▷|<\|channel\|>)|</(?:seed:)?think(?:ing)?>"
)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TOKENS = msgspec.json.Decoder(dict[str, Any])
_MESSAGES = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class _Begun(msgspec.Struct, frozen=True):
    role: str
    content: str
    reasoning_content: str | msgspec.UnsetType


def check(request: object, told: Told, *, exact_seams: bool) -> None:
    """Refuse to go on where the answer would not be the one that was begun.

    `exact_seams`: the engine takes the beginning as it is, white space at its ends included.

    Raises:
        ContinuationImpossible: it says why.
    """
    if not told.spoke:
        return
    why = "its kind of answer cannot be continued"
    if isinstance(request, Sampling):
        why = _reason(request, told, exact_seams=exact_seams)
    if why:
        raise ContinuationImpossible(
            f"The engine broke in the middle of its answer, and no other can go on exactly: {why}."
        )


def rest_of(
    body: bytes, request: object, told: Told, tokens: Sequence[int] | None
) -> dict[str, msgspec.Raw]:
    """Return the fields of a request that ask for the rest of its answer.

    `tokens` are those of what has been told, None where nobody could say them; `told.tokens_before`
    of them are taken off the request's bound.
    """
    given = _OBJECT.decode(body)
    new: dict[str, Any] = {}
    if isinstance(request, ChatRequest):
        new |= _begun_fields(given, request, told)
    elif isinstance(request, CompletionRequest):
        new["prompt"] = _with_text(request.prompt, told.text, tokens)
    if isinstance(request, CompletionRequest) and request.max_tokens is None:
        new["max_tokens"] = COMPLETION_TOKENS - told.tokens_before
    if isinstance(request, Sampling):
        for name, bound in request.bounds():
            if bound != ROOM:
                new[name] = max(1, bound - told.tokens_before)
        if request.min_tokens is not None:
            new["min_tokens"] = max(0, request.min_tokens - told.tokens_before)
    return {
        name: value if isinstance(value, msgspec.Raw) else _raw(value)
        for name, value in new.items()
    }


def count_request(model: str, text: str) -> bytes:
    """Return what `/tokenize` is asked about a text."""
    return msgspec.json.encode({"model": model, "prompt": text, "add_special_tokens": False})


def growth_requests(
    body: bytes, request: ChatRequest, told: Told, model: str
) -> tuple[bytes, bytes]:
    """Return what `/tokenize` is asked about a conversation before an answer, and with it so far.

    What it grows by are the answer's tokens, with those of a thought and of the marks around it.
    """
    given = _OBJECT.decode(body) | {"model": _raw(model)}
    grown = given | _begun_fields(given, request, told)
    return msgspec.json.encode(given), msgspec.json.encode(grown)


def counted(body: bytes) -> list[int] | None:
    """Return the tokens that `/tokenize` told, None where it told none."""
    try:
        tokens = _TOKENS.decode(body).get("tokens")
    except UNREADABLE:
        return None
    whole = isinstance(tokens, list) and all(type(token) is int for token in tokens)
    return tokens if whole else None


def _reason(request: Sampling, told: Told, *, exact_seams: bool) -> str:
    """Return why the rest cannot be exact, "" where it can."""
    text, chat = told.text, isinstance(request, ChatRequest)
    trimmed = chat and not exact_seams
    penalized = request.presence_penalty or request.frequency_penalty
    logprobs = _is_asked(getattr(request, "logprobs", None))
    thought = told.thought or (trimmed and _RAW_THOUGHT.search(text))
    of_prompt = any(_is_asked(getattr(request, name)) for name in _OF_THE_PROMPT)
    begun = isinstance(request, ChatRequest) and _begun_otherwise(request, told)
    around = isinstance(request, CompletionRequest) and (request.echo or request.suffix)
    reasons = (
        (choices_of(request) > 1 or request.choices() > 1, "it has several choices"),
        (told.called, "a tool call is under way"),
        (told.odd, "something else than text is in it"),
        (_is_held(request), "its form is prescribed (structured output)"),
        (told.thought and not text, "it is amid a thought"),
        (logprobs, "log probabilities are asked for"),
        (of_prompt, "something is to be told of its prompt"),
        (penalized, "a penalty counts the tokens of the whole answer"),
        (any(_half_said(text, stop) for stop in request.stops()), "it may be amid a stop string"),
        (around, "it has an echo or a suffix"),
        (begun, "its client has begun it otherwise than with a text"),
        (trimmed and thought, "this engine may not take its thought back"),
        (trimmed and text != text.strip(), "white space at its seam may be trimmed by a template"),
    )
    return next((why for holds, why in reasons if holds), "")


def _is_asked(value: object) -> bool:
    return value is not None and value is not False  # 0 asks for some


def _is_held(request: Sampling) -> bool:
    form = request.response_format
    choice = getattr(request, "tool_choice", None)
    return (
        (form is not None and form.get("type") != "text")
        or any(getattr(request, name) is not None for name in (*_FORMS, "grammar"))
        or choice not in (None, "auto", "none")
    )


def _half_said(text: str, stop: str) -> bool:
    """Say whether a text ends with the beginning of a stop string, or with all of it."""
    return any(text.endswith(stop[:length]) for length in range(1, len(stop) + 1))


def _begun_otherwise(request: ChatRequest, told: Told) -> bool:
    """Say whether a client wants an answer gone on with that is no text alone."""
    if not request.continue_final_message:
        return False
    in_parts = not isinstance(request.messages[-1].content, str)
    return in_parts or bool(told.thought or request.echo)


def _begun_fields(
    given: dict[str, msgspec.Raw], request: ChatRequest, told: Told
) -> dict[str, msgspec.Raw]:
    """Return the fields of a conversation whose answer has begun."""
    messages = given["messages"]
    if request.continue_final_message:  # the client had begun it: the same message grows
        *before, last = _MESSAGES.decode(messages)
        last["content"] = _raw(request.messages[-1].text() + told.text)
        grown = _raw([*before, last])
    else:
        begun = msgspec.json.encode(_Begun("assistant", told.text, told.thought or msgspec.UNSET))
        grown = msgspec.Raw(bytes(messages).rstrip()[:-1] + b"," + begun + b"]")
    goes_on = {"continue_final_message": True, "add_generation_prompt": False}
    if request.echo:
        goes_on["echo"] = False  # it has been told
    return {"messages": grown} | {name: _raw(value) for name, value in goes_on.items()}


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _with_text(prompt: str | list[Any], text: str, tokens: Sequence[int] | None) -> Any:
    """Return a prompt with the answer so far at its end, text or token ids as it was.

    Raises:
        ContinuationImpossible: it is token ids, and nobody could say those of the answer.
    """
    if isinstance(prompt, list) and not isinstance(prompt[0], int):
        (prompt,) = prompt
    if isinstance(prompt, str):
        return prompt + text
    if tokens is None:
        raise ContinuationImpossible(
            "The engine broke in the middle of its answer, and no other can say the token ids of "
            "what it said, which must stand behind those of the prompt."
        )
    return [*prompt, *tokens]
