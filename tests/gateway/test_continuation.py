"""When an engine breaks in the middle of a stream: scripted engines, every way of breaking."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.support.answers import DONE, FIRST, chunk, usage_chunk
from tests.support.scripted import CUT, Heard, Play, ScriptedEngine, events_play, json_play, running
from tests.support.serving import Served, serving
from tests.support.streams import data_of, events_of, said

ASK: dict[str, Any] = {
    "model": "big",
    "messages": [{"role": "user", "content": "Hello"}],
    "stream": True,
    "max_tokens": 9,
}
BEGUN = (FIRST, chunk("It "), chunk("weighs"))
REST = (
    FIRST.replace(b"chatcmpl-1", b"chatcmpl-2"),
    chunk(" much").replace(b"chatcmpl-1", b"chatcmpl-2"),
    chunk(finish="stop").replace(b"chatcmpl-1", b"chatcmpl-2"),
    usage_chunk().replace(b"chatcmpl-1", b"chatcmpl-2"),
    DONE,
)
MALFORMED = b'data: {"choices": [{"index"\n\n'
ERROR = b'data: {"error": {"message": "EngineCore died"}}\n\n'


def config(*engines: ScriptedEngine, more: str = "") -> str:
    urls = ", ".join(f'"{engine.url}"' for engine in engines)
    return f"""
engines: {{lab: {{kind: remote, url: [{urls}], health_interval_s: 60}}}}
models: {{big: {{engine: lab, upstream_model: toy, idle_timeout_s: 0.2{more}}}}}
"""


class Breaking(ScriptedEngine):
    """Breaks its first stream with `break_`; goes on with an answer that somebody has begun."""

    def __init__(
        self, *break_: bytes | asyncio.Event | None, begun: Any = BEGUN, rest: Any = REST
    ) -> None:
        super().__init__(answer=self._choose)
        self.break_ = break_
        self.begun = begun
        self.rest = rest
        self.tokens: list[int] | None = [5, 6, 7]

    def _choose(self, heard: Heard) -> Play:
        if heard.path == "/tokenize":
            return json_play({"tokens": self.tokens}) if self.tokens else json_play({}, 404)
        asked = heard.json()
        if asked.get("continue_final_message") or asked.get("prompt") == "Once it weighs":
            return events_play(*self.rest)
        return events_play(*self.begun, *self.break_)


async def streamed(served: Served, path: str = "/v1/chat/completions", **more: Any) -> str:
    await served.until(lambda: not served.gateway.fleet.why_not(["big"]))
    async with asyncio.timeout(20):
        answer = await served.http.post(path, json=ASK | more)
    assert answer.status_code == 200, answer.text
    return answer.text


async def told_error(served: Served, **more: Any) -> dict[str, Any]:
    text = await streamed(served, **more)
    assert "[DONE]" not in text
    error: dict[str, Any] = msgspec.json.decode(data_of(text)[-1])["error"]
    return error


async def test_as_many_tokens_as_there_is_room_for_stay_so_behind_a_break() -> None:
    """Engines get null, which all of them know."""
    first, second = Breaking(CUT), Breaking(CUT)
    async with running(first), running(second), serving(config(first, second)) as served:
        assert said(events_of(await streamed(served, max_tokens=-1))) == "It weighs much"
    asked = [one.json() for one in requests(first, second)]
    assert len(asked) == 2
    assert all(one["max_tokens"] is None for one in asked)


async def test_the_rest_of_an_answer_that_has_a_least_length_is_as_much_shorter() -> None:
    first, second = Breaking(CUT), Breaking(CUT)
    async with running(first), running(second), serving(config(first, second)) as served:
        await streamed(served, min_tokens=5)
    asked = sorted(int(str(one.json()["min_tokens"])) for one in requests(first, second))
    assert asked == [2, 5]


def requests(*engines: ScriptedEngine) -> list[Heard]:
    """Return the requests for completions, in the order of the engines."""
    return [one for engine in engines for one in engine.heard if "completions" in one.path]


def bounds(*engines: ScriptedEngine) -> list[int]:
    """Return the `max_tokens` that were asked for, the least first."""
    return sorted(int(str(heard.json()["max_tokens"])) for heard in requests(*engines))


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


async def test_an_engine_that_cannot_count_has_its_events_counted() -> None:
    one, two = Breaking(CUT), Breaking(CUT)
    one.tokens = two.tokens = None
    async with running(one), running(two), serving(config(one, two)) as served:
        assert said(events_of(await streamed(served))) == "It weighs much"
        assert bounds(one, two) == [7, 9]


async def test_a_completion_goes_on_from_its_prompt_and_text() -> None:
    begun = b'data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"toy",'
    begun += b'"choices":[{"index":0,"text":" weighs","finish_reason":null}]}\n\n'
    one, two = Breaking(CUT, begun=[begun]), Breaking(CUT, begun=[begun])
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


CALL = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"toy",'
    b'"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function",'
    b'"function":{"name":"f","arguments":""}}]},"finish_reason":null}]}\n\n'
)
THOUGHT = chunk("Hm").replace(b'"content"', b'"reasoning_content"')
IMPOSSIBLE: list[tuple[str, tuple[bytes, ...], dict[str, Any]]] = [
    ("tool call", (FIRST, CALL), {}),
    ("amid a thought", (FIRST, THOUGHT), {}),
    ("take its thought back", (FIRST, THOUGHT, chunk("So")), {}),
    ("structured output", BEGUN, {"response_format": {"type": "json_object"}}),
    ("structured output", BEGUN, {"guided_regex": "a+"}),
    ("structured output", BEGUN, {"tools": [{}], "tool_choice": "required"}),
    ("log probabilities", BEGUN, {"logprobs": True}),
    ("several choices", BEGUN, {"n": 2}),
    ("a stop string", BEGUN, {"stop": ["weighs much"]}),
    ("a penalty", BEGUN, {"frequency_penalty": 0.5}),
    ("white space", BEGUN[:2], {}),
]


@pytest.mark.parametrize(("why", "begun", "fields"), IMPOSSIBLE)
async def test_where_the_rest_could_not_be_exact_a_typed_error_says_why(
    why: str, begun: tuple[bytes, ...], fields: dict[str, Any]
) -> None:
    one, two = Breaking(CUT, begun=begun), Breaking(CUT, begun=begun)
    async with running(one), running(two), serving(config(one, two)) as served:
        error = await told_error(served, **fields)
        assert error["code"] == "continuation_impossible"
        assert why in error["message"]
        assert len(requests(one, two)) == 1
