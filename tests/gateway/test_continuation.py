"""When an engine breaks in the middle of a stream: scripted engines, every way of breaking."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.support.answers import DONE, FIRST, chunk
from tests.support.broken import (
    ASK,
    BEGUN,
    REST,
    WEIGHS,
    Breaking,
    bounds,
    config,
    requests,
    streamed,
    told_error,
)
from tests.support.scripted import CUT, ScriptedEngine, events_play, running
from tests.support.serving import serving
from tests.support.streams import accumulated, events_of, said

MALFORMED = b'data: {"choices": [{"index"\n\n'
ERROR = b'data: {"error": {"message": "EngineCore died"}}\n\n'


async def test_as_many_tokens_as_there_is_room_for_stay_so_behind_a_break() -> None:
    """Engines get null, which all of them know."""
    first, second = Breaking(CUT), Breaking(CUT)
    async with running(first), running(second), serving(config(first, second)) as served:
        assert said(events_of(await streamed(served, max_tokens=-1))) == "It weighs much"
    asked = [one.json() for one in requests(first, second)]
    assert len(asked) == 2
    assert all(one["max_tokens"] is None for one in asked)


@pytest.mark.parametrize("how", ["cut", "stalled", "malformed", "error"])
async def test_another_replica_goes_on_in_the_same_stream(how: str) -> None:
    break_ = {"cut": CUT, "stalled": asyncio.Event(), "malformed": MALFORMED, "error": ERROR}[how]
    one, two = Breaking(break_), Breaking(break_)
    async with running(one), running(two), serving(config(one, two)) as served:
        events = events_of(await streamed(served, stream_options={"include_usage": True}))
        *_, last, usage = events
        assert said(events) == "It weighs much"
        assert {event["id"] for event in events} == {"chatcmpl-1"}
        assert {event["model"] for event in events} == {"big"}
        assert sum("role" in c["delta"] for e in events for c in e["choices"]) == 1
        assert last["choices"][0]["finish_reason"] == "stop"
        assert last["weighbridge"] == {"continued": 1}
        # 30 prompt tokens were 3 too many, and 3 tokens came before the 6.
        assert usage["usage"]["prompt_tokens"] == 27
        assert usage["usage"]["completion_tokens"] == 9
        first, second = sorted(requests(one, two), key=lambda one: len(one.body))
        assert second.json() == first.json() | {
            "messages": [*ASK["messages"], {"role": "assistant", "content": "It weighs"}],
            "continue_final_message": True,
            "add_generation_prompt": False,
            "max_tokens": 6,
        }
        metrics = (await served.http.get("/metrics")).text
        counted = [line for line in metrics.splitlines() if "continuations_total{" in line]
        assert sorted(line[-3:] for line in counted) == ["0.0", "1.0"]


async def test_usage_that_is_told_with_each_event_goes_on_with_the_first_engines() -> None:
    def counting(events: Sequence[bytes], prompt: int) -> list[bytes]:
        told, said = [], 0
        for event in events:
            said += b'"content":"' in event and b'"content":""' not in event
            usage = {"prompt_tokens": prompt, "total_tokens": prompt + said}
            encoded = msgspec.json.encode(usage | {"completion_tokens": said})
            told.append(event.replace(b"}\n\n", b',"usage":' + encoded + b"}\n\n"))
        return told

    begun, rest = counting(BEGUN, 27), [*counting(REST[:3], 30), DONE]
    one, two = Breaking(CUT, begun=begun, rest=rest), Breaking(CUT, begun=begun, rest=rest)
    options = {"include_usage": True, "continuous_usage_stats": True}
    async with running(one), running(two), serving(config(one, two)) as served:
        events = events_of(await streamed(served, stream_options=options))
    assert said(events) == "It weighs much"
    told = [event["usage"] for event in events]
    assert [usage["prompt_tokens"] for usage in told] == [27] * len(told)
    # The two events of the first engine had three tokens, as one could say afterwards.
    assert [usage["completion_tokens"] for usage in told] == [0, 1, 2, 4, 4, 4]
    assert all(u["total_tokens"] == 27 + u["completion_tokens"] for u in told)
    assert events[-2]["weighbridge"] == {"continued": 1}


async def test_an_engine_that_cannot_count_has_its_events_counted() -> None:
    one, two = Breaking(CUT), Breaking(CUT)
    one.tokens = two.tokens = None
    async with running(one), running(two), serving(config(one, two)) as served:
        assert said(events_of(await streamed(served))) == "It weighs much"
        assert bounds(one, two) == [7, 9]


async def test_a_completion_goes_on_from_its_prompt_and_text() -> None:
    one, two = Breaking(CUT, begun=[WEIGHS]), Breaking(CUT, begun=[WEIGHS])
    async with running(one), running(two), serving(config(one, two)) as served:
        await streamed(served, "/v1/completions", prompt="Once it")
        last = max(requests(one, two), key=lambda one: len(one.body)).json()
        assert (last["prompt"], last["max_tokens"]) == ("Once it weighs", 6)
        one.heard.clear()
        two.heard.clear()
        one.tokens = two.tokens = [7]
        await streamed(served, "/v1/completions", prompt=[1, 2])
        assert [1, 2, 7] in [heard.json()["prompt"] for heard in requests(one, two)]


async def test_an_answer_that_has_all_its_tokens_is_only_ended() -> None:
    one, two = Breaking(CUT), Breaking(CUT)
    async with running(one), running(two), serving(config(one, two)) as served:
        wants: dict[str, Any] = {"stream_options": {"include_usage": True}}
        *_, last, usage = events_of(await streamed(served, max_tokens=3, **wants))
        assert last["choices"][0]["finish_reason"] == "length"
        assert last["weighbridge"] == {"continued": 1}
        assert usage["usage"]["completion_tokens"] == 3
        assert len(requests(one, two)) == 1


async def test_a_stream_that_lost_only_its_done_is_whole() -> None:
    one, two = Breaking(chunk(finish="stop"), CUT), Breaking(chunk(finish="stop"), CUT)
    async with running(one), running(two), serving(config(one, two)) as served:
        assert said(events_of(await streamed(served))) == "It weighs"
        assert len(requests(one, two)) == 1


async def test_what_breaks_before_a_word_is_asked_again_whatever_it_is() -> None:
    one = ScriptedEngine(answer=lambda _: events_play(FIRST, CUT))
    two = ScriptedEngine(answer=lambda _: events_play(*BEGUN, chunk(finish="stop"), DONE))
    held: dict[str, Any] = {"response_format": {"type": "json_object"}}
    async with running(one), running(two), serving(config(one, two)) as served:
        for _ in range(2):
            events = events_of(await streamed(served, **held))
            assert said(events) == "It weighs"
        assert sum("role" in c["delta"] for e in events for c in e["choices"]) == 1
        for heard in (*one.heard, *two.heard):
            assert "continue_final_message" not in heard.json()


async def test_what_breaks_twice_ends_with_an_error() -> None:
    a, b, c = (Breaking(CUT, rest=[*REST[:2], CUT]) for _ in range(3))
    async with running(a), running(b), running(c), serving(config(a, b, c)) as served:
        assert (await told_error(served))["code"] == "engine_error"
        assert len(requests(a, b, c)) == 2


async def test_a_model_may_rather_fail() -> None:
    one, two = Breaking(CUT), Breaking(CUT)
    more = ", on_break: fail"
    async with running(one), running(two), serving(config(one, two, more=more)) as served:
        assert (await told_error(served))["code"] == "engine_error"
        assert len(requests(one, two)) == 1


async def test_the_least_that_an_answer_is_to_have_is_less_by_what_was_told() -> None:
    one, two = Breaking(CUT), Breaking(CUT)
    async with running(one), running(two), serving(config(one, two)) as served:
        await streamed(served, min_tokens=5, echo=True)
        first, last = sorted(requests(one, two), key=lambda one: len(one.body))
        assert (first.json()["min_tokens"], last.json()["min_tokens"]) == (5, 2)
        assert (first.json()["echo"], last.json()["echo"]) == (True, False)


async def test_an_answer_that_its_client_has_begun_stays_one_message() -> None:
    begun = {"role": "assistant", "content": "I think: "}
    more: dict[str, Any] = {"messages": [*ASK["messages"], begun], "continue_final_message": True}
    one, two = Breaking(CUT), Breaking(CUT)
    async with running(one), running(two), serving(config(one, two)) as served:
        events = events_of(await streamed(served, add_generation_prompt=False, **more))
        assert said(events) == "It weighs much"
        last = max(requests(one, two), key=lambda one: len(one.body)).json()
        grown = {"role": "assistant", "content": "I think: It weighs"}
        assert last["messages"] == [*ASK["messages"], grown]


@pytest.mark.parametrize(
    "role",
    [
        b'"delta": {"role": "assistant", "content": " much"}',
        b'"delta":{"content":" much","role":"assistant"}',
    ],
)
async def test_the_second_role_is_taken_out_however_it_is_written(role: bytes) -> None:
    first = FIRST.replace(b'"delta":{"role":"assistant","content":""}', role)
    rest = [one.replace(b"chatcmpl-1", b"chatcmpl-2") for one in (first, *REST[2:])]
    one, two = Breaking(CUT, rest=rest), Breaking(CUT, rest=rest)
    async with running(one), running(two), serving(config(one, two)) as served:
        text = await streamed(served)
        assert said(events_of(text)) == "It weighs much"
        assert accumulated(text.encode()).choices[0].message.role == "assistant"
        assert text.count('"role"') == 1
