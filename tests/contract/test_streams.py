"""Streamed answers: one contract for every engine."""

from typing import Any

import httpx
import msgspec
import pytest

from tests.support.contract import CHAT, COMPLETIONS, Contract, Subject, tokens_of, user
from tests.support.serving import serving
from tests.support.streams import data_of, events_of, finishes, said
from tests.support.worker import working

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITH_USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


async def test_the_role_comes_first_and_one_finish_reason_last(subject: Subject) -> None:
    events = await subject.stream("Hello")
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert len(finishes(events)) == 1
    assert events[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    for event in events:
        assert event["object"] == "chat.completion.chunk"
        assert event["model"] == subject.model
        assert event["id"] == events[0]["id"]
        assert event["created"] == events[0]["created"]


async def test_usage_comes_once_and_last_when_it_is_asked_for(subject: Subject) -> None:
    *before, last = await subject.stream("Hello", **WITH_USAGE)
    usage = last["usage"]
    assert last["choices"] == []
    assert last["model"] == subject.model
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert not any(event.get("usage") for event in before)


async def test_usage_may_come_with_each_event_and_grows_to_what_it_is_at_the_end(
    live: Subject,
) -> None:
    options = {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}
    chat = await live.stream("Hello", **options)
    ask = {"prompt": "The quick brown", "max_tokens": 8, "stream": True, **options}
    text = events_of((await live.post(COMPLETIONS, **ask)).text)
    for events in (chat, text):
        told = [event["usage"] for event in events]
        assert len({usage["prompt_tokens"] for usage in told}) == 1
        completions = [usage["completion_tokens"] for usage in told]
        assert completions == sorted(completions)
        # The first event has as many tokens as the engine had drawn when its server looked.
        assert completions[0] < completions[-1] == completions[-2]


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
async def test_no_usage_comes_when_it_is_not_asked_for(
    subject: Subject, options: dict[str, Any]
) -> None:
    events = await subject.stream("Hello", **options)
    assert all(event["choices"] and not event.get("usage") for event in events)


@pytest.mark.parametrize("options", [{}, WITH_USAGE])
async def test_the_gateway_knows_the_usage_whether_it_is_asked_for_or_not(
    behind: Subject, options: dict[str, Any]
) -> None:
    usage = (await behind.stream("Hello", **WITH_USAGE))[-1]["usage"]
    before = await behind.figures()
    await behind.stream("Hello", **options)
    after = await behind.figures()
    for kind in ("prompt_tokens", "completion_tokens"):
        assert after[f"{kind}_total"] - before[f"{kind}_total"] == usage[kind]
    assert after["time_to_first_token_seconds_count"] > before["time_to_first_token_seconds_count"]


@pytest.mark.parametrize("fields", [{}, {"temperature": 0.7, "seed": 3}])
async def test_a_stream_amounts_to_the_answer_that_is_not_streamed(
    live: Subject, fields: dict[str, Any]
) -> None:
    # Taught questions: where a model is unsure, rounding decides, and batches round differently.
    for text in ("What is Weighbridge?", "Write a haiku", "¿Qué es Weighbridge?"):
        whole = await live.whole(text, **fields)
        events = await live.stream(text, **fields, **WITH_USAGE)
        assert said(events) == whole["choices"][0]["message"]["content"]
        assert finishes(events) == [whole["choices"][0]["finish_reason"]]
        assert tokens_of(events[-1]["usage"]) == tokens_of(whole["usage"])


async def test_every_choice_of_a_stream_begins_and_ends(behind: Subject) -> None:
    events = await behind.stream("Hello", n=2, temperature=0.7)
    for index in (0, 1):
        own = [c for event in events for c in event["choices"] if c["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert own[-1]["finish_reason"]
        assert len(finishes(events, index)) == 1


async def test_streamed_logprobs_are_those_of_the_whole_answer(live: Subject) -> None:
    fields = {"logprobs": True, "top_logprobs": 2}
    whole = await live.whole("Hello", **fields)
    events = await live.stream("Hello", **fields)
    streamed = [
        token
        for event in events
        for choice in event["choices"]
        for token in (choice["logprobs"] or {}).get("content", ())
    ]
    bare = [(token["token"], token["bytes"]) for token in streamed]
    expected = whole["choices"][0]["logprobs"]["content"]
    assert bare == [(token["token"], token["bytes"]) for token in expected]
    for one, other in zip(streamed, expected, strict=True):
        assert one["logprob"] == pytest.approx(other["logprob"], abs=1e-3)


async def test_a_streamed_completion_has_text_and_usage(subject: Subject) -> None:
    ask = {"prompt": "The quick brown", "max_tokens": 8, "stream": True, **WITH_USAGE}
    answer = await subject.post(COMPLETIONS, **ask)
    *events, last = events_of(answer.text)
    assert said(events)
    assert len(finishes(events)) == 1
    assert all(event["object"] == "text_completion" for event in events)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] <= 8


async def test_stream_options_without_a_stream_are_refused(live: Subject) -> None:
    answer = await live.post(messages=user("Hello"), **WITH_USAGE)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "stream_options"


async def test_an_engine_that_dies_in_the_middle_ends_the_stream_with_an_error() -> None:
    with working() as worker:
        text = f"""
engines: {{lab: {{kind: remote, url: "{worker.url}/v1"}}}}
models: {{far: {{engine: lab, upstream_model: demo-qwen}}}}
"""
        async with serving(text) as served:
            await served.ready()
            ask = {"model": "far", "messages": user("Hello"), "stream": True}
            long = {"ignore_eos": True, "max_tokens": 2_000, "n": 8}
            async with served.http.stream("POST", CHAT, json=ask | long) as answer:
                pieces = answer.aiter_text()
                heard = await anext(pieces)
                worker.process.kill()
                heard += "".join([piece async for piece in pieces])
            *_, last = data_of(heard)
            error = msgspec.json.decode(last)["error"]
            assert error["code"] == "engine_error"
            assert error["type"] == "server_error"
            assert b"[DONE]" not in data_of(heard)


async def test_the_recorded_stream_passes_byte_for_byte_but_for_the_name(
    engines: Contract,
) -> None:
    direct = {"model": "tiny-qwen2", "messages": user("Hello"), "stream": True} | WITH_USAGE
    async with httpx.AsyncClient() as http:
        sent = await http.post(f"{engines.recorded.url}/chat/completions", json=direct)
    subject = await engines.subject("recorded")
    through = await subject.post(messages=user("Hello"), stream=True, **WITH_USAGE)
    assert through.text == sent.text.replace('"tiny-qwen2"', '"recorded"')
