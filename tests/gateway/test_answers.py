"""Requests are edited only where asked; foreign errors take OpenAI's shape."""

import json

import pytest

from gateway.errors import (
    ApiError,
    ContextLengthExceeded,
    EngineEnding,
    EngineFailed,
    InvalidRequest,
    RateLimited,
)
from gateway.relay.answers import foreign_error, read_usage, rename_model
from gateway.relay.bodies import edit_request


def test_an_untouched_body_is_the_same_object() -> None:
    body = b'{"model" : "a"}'
    assert edit_request(body, model=None, ask_usage=False) is body


def test_only_what_is_asked_for_changes() -> None:
    body = b'{"model":"a","n":1.50,"stream_options":null,"x":{"model":"a"}}'
    edited = edit_request(body, model="b", ask_usage=True)
    assert b'"n":1.50' in edited
    told = json.loads(edited)
    assert told["model"] == "b"
    assert told["x"] == {"model": "a"}
    assert told["stream_options"] == {"include_usage": True}


def test_usage_is_asked_for_at_the_end_alone_where_the_client_wants_none() -> None:
    options = b'{"include_usage":false,"continuous_usage_stats":true,"x":1}'
    edited = edit_request(b'{"stream_options":' + options + b"}", model=None, ask_usage=True)
    assert json.loads(edited)["stream_options"] == {"include_usage": True, "x": 1}


@pytest.mark.parametrize(
    "body",
    [
        b'{"n":1.50,"model":"a","x":[ 1 ]}',
        b'{"model": "a"}',
        b'{"model" : "a"}',
        b'{"x":{"model":"a"},"model":"a"}',
        b'{"x":["model"],"model":"a","y":"\\"model\\":\\"a\\""}',
        b'{"model":"a","mod\\u0065l":"a"}',
        b'{"mod\\u0065l":"a","x":{"model":"a"}}',
    ],
)
def test_a_model_gets_its_other_name_wherever_and_however_it_is_written(body: bytes) -> None:
    edited = edit_request(body, model="b", told="a", ask_usage=False)
    assert json.loads(edited) == json.loads(body) | {"model": "b"}


def test_what_a_client_sends_beside_the_model_stays_byte_for_byte() -> None:
    body = b'{"n": 1.50, "model":"a", "x":[ 1 ]}'
    edited = edit_request(body, model="b", told="a", ask_usage=False)
    assert edited == body.replace(b'"a"', b'"b"')


@pytest.mark.parametrize("colon", [b":", b": ", b" : "])
def test_an_answer_is_renamed_however_it_is_spaced(colon: bytes) -> None:
    told = rename_model(b'{"model"' + colon + b'"up","x":1}', "up", "ours")
    assert told == b'{"model"' + colon + b'"ours","x":1}'


def test_a_field_that_is_to_go_goes_and_one_that_is_not_there_does_no_harm() -> None:
    edited = edit_request(b'{"a":1,"b":2}', model=None, ask_usage=False, without=("b", "c"))
    assert json.loads(edited) == {"a": 1}


def test_a_name_inside_text_is_not_rewritten() -> None:
    body = json.dumps({"content": '"model":"up"', "model": "up"}).encode()
    told = json.loads(rename_model(body, "up", "ours"))
    assert told == {"content": '"model":"up"', "model": "ours"}


def test_usage_is_read_and_nonsense_is_the_engines_fault() -> None:
    model, usage = read_usage(b'{"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}')
    assert model == "m"
    assert usage is not None
    assert usage.prompt_tokens == 1
    for nonsense in (b"<html>", b"[]", b'{"usage":{"prompt_tokens":null},"data":'):
        with pytest.raises(EngineFailed):
            read_usage(nonsense)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"error":"Unexpected endpoint or method."}', EngineFailed, "Unexpected endpoint"),
        (b'{"error":{"message":"no room","code":429}}', RateLimited, "no room"),
        (b'{"error":{"message":"bad","type":"invalid_request_error"}}', InvalidRequest, "bad"),
        (b'{"error":{},"usage":{"prompt_tokens":null},"choices":[]}', None, ""),
        (b'{"error":null,"choices":[]}', None, ""),
        (b'{"error":{"code":502},"usage":{"prompt_tokens":null}}', EngineFailed, "failed."),
    ],
)
def test_an_error_with_status_200_is_no_answer(
    body: bytes, kind: type[ApiError] | None, words: str
) -> None:
    if kind is None:
        read_usage(body)
        return
    with pytest.raises(kind, match=words) as raised:
        read_usage(body)
    assert type(raised.value) is kind


def test_the_total_of_what_is_only_read_is_its_prompts() -> None:
    _, usage = read_usage(b'{"usage":{"total_tokens":8},"results":[]}')
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (8, 0)


def test_an_answer_whose_usage_is_of_another_shape_is_one_all_the_same() -> None:
    odd = b'{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":null}}'
    name, usage = read_usage(odd)
    assert name == "m"
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1, 0, 0)
    assert read_usage(b'{"model":"m","usage":[]}') == ("m", None)
    _, usage = read_usage(
        b'{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,'
        b'"prompt_tokens_details":{"audio_tokens":null,"cached_tokens":null},'
        b'"completion_tokens_details":{"reasoning_tokens":null}}}'
    )
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (1, 2)


FULL = (
    b'{"error":{"message":"The engine is currently busy and cannot accept new requests. Please try '
    b'again later or on a different instance.","type":"Service Unavailable","code":503}}'
)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error":{"message":"maximum context length is 8","code":400}}', "context"),
        (400, b'{"error":{"message":"bad temperature","param":"temperature"}}', "invalid"),
        (401, b'{"error":"Unauthorized"}', "engine"),
        (404, b'{"detail":"Not Found"}', "engine"),
        (500, b"oops", "engine"),
        (503, b"oops", "engine"),
        (503, FULL, "full"),
        (503, b'{"error":{"message":"too many","code":"engine_overloaded"}}', "full"),
        (503, b'{"error":{"message":"about to end","code":"draining"}}', "ending"),
        (429, b"{}", "full"),
    ],
)
def test_each_status_has_its_meaning(status: int, body: bytes, kind: str) -> None:
    kinds: dict[str, type[ApiError]] = {
        "context": ContextLengthExceeded,
        "invalid": InvalidRequest,
        "engine": EngineFailed,
        "ending": EngineEnding,
        "full": RateLimited,
    }
    assert type(foreign_error(status, body)) is kinds[kind]


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Please reduce the length of the messages.", "code": "context_length_exceeded"},
        {"message": "This model's maximum prompt length is 8 but the request contains 9 tokens."},
        {"message": "prompt is too long: 9 tokens > 8 maximum"},
        {"message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."},
    ],
)
def test_a_prompt_that_is_too_long_is_known_by_the_words_of_other_servers(error: object) -> None:
    told = foreign_error(400, json.dumps({"error": error}).encode())
    assert type(told) is ContextLengthExceeded


def test_the_code_of_a_refusal_reaches_the_client_where_it_is_a_word() -> None:
    body = b'{"error":{"message":"no eyes","param":"messages","code":"unsupported_capability"}}'
    assert foreign_error(400, body).code == "unsupported_capability"
    assert foreign_error(400, b'{"error":{"message":"bad","code":400}}').code is None


def test_a_full_queue_of_vllm_is_told_with_a_time_though_vllm_names_none() -> None:
    assert foreign_error(503, FULL).retry_after_s == 1
    assert foreign_error(503, FULL, 7).retry_after_s == 7
