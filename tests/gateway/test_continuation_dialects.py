"""A broken stream that is gone on with, for clients of OpenAI's other words."""

from typing import Any

import openai

from tests.support.answers import FIRST, chunk
from tests.support.broken import BEGUN, REST, Breaking, config, requests, streamed
from tests.support.scripted import CUT, running
from tests.support.serving import serving
from tests.support.streams import events_of, said

FUNCTIONS: list[dict[str, Any]] = [
    {"name": "weigh", "parameters": {"type": "object", "properties": {}}},
    {"name": "cut", "parameters": {"type": "object", "properties": {}}},
]
CALL = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"toy",'
    b'"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function",'
    b'"function":{"name":"weigh","arguments":"{"}}]},"finish_reason":null}]}\n\n'
)


async def responses(*engines: Breaking, **more: Any) -> list[Any]:
    """Return what the SDK reads of a stream of the Responses API."""
    async with serving(config(*engines)) as served:
        await served.until(lambda: not served.gateway.fleet.why_not(["big"]))
        async with openai.AsyncOpenAI(
            base_url=f"{served.url}/v1", api_key="none", max_retries=0
        ) as client:
            asked: dict[str, Any] = {"model": "big", "input": "Hello", "stream": True} | more
            return [event async for event in await client.responses.create(**asked)]


async def test_a_response_goes_on_as_one_with_its_ids_and_numbers() -> None:
    one, two = Breaking(CUT), Breaking(CUT)
    async with running(one), running(two):
        events = await responses(one, two, max_output_tokens=9)
        last = max(requests(one, two), key=lambda one: len(one.body)).json()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 3,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    response = events[-1].response
    assert response.id == events[0].response.id == "resp_1"
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {"msg_1_0"}
    assert (response.output_text, response.status) == ("It weighs much", "completed")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (27, 9)
    assert response.weighbridge == {"continued": 1}
    assert (last["max_completion_tokens"], last["continue_final_message"]) == (6, True)


async def test_a_response_that_nobody_can_go_on_with_fails_and_says_why() -> None:
    one, two = Breaking(CUT, begun=(*BEGUN, CALL)), Breaking(CUT, begun=(*BEGUN, CALL))
    async with running(one), running(two):
        events = await responses(one, two)
        assert len(requests(one, two)) == 1
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.failed"
    assert "tool call" in events[-1].response.error.message


async def test_a_text_to_which_functions_were_offered_goes_on_with_the_same_offer() -> None:
    one, two = Breaking(CUT), Breaking(CUT)
    async with running(one), running(two), serving(config(one, two)) as served:
        events = events_of(await streamed(served, functions=FUNCTIONS, function_call="auto"))
        first, last = sorted(requests(one, two), key=lambda one: len(one.body))
    assert said(events) == "It weighs much"
    assert events[-1]["weighbridge"] == {"continued": 1}
    assert {event["id"] for event in events} == {"chatcmpl-1"}
    assert last.json()["tools"] == first.json()["tools"]
    assert last.json()["parallel_tool_calls"] is False
    assert "functions" not in last.json()


async def test_a_call_that_begins_behind_the_seam_is_told_in_the_older_way() -> None:
    end = chunk(finish="tool_calls")
    rest = [one.replace(b"chatcmpl-1", b"chatcmpl-2") for one in (FIRST, CALL, end)]
    one, two = (Breaking(CUT, rest=[*rest, REST[-1]]) for _ in range(2))
    async with running(one), running(two), serving(config(one, two)) as served:
        events = events_of(await streamed(served, functions=FUNCTIONS))
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    assert [d["function_call"]["name"] for d in deltas if "function_call" in d] == ["weigh"]
    assert not any("tool_calls" in delta for delta in deltas)
    assert events[-1]["choices"][0]["finish_reason"] == "function_call"
    assert {event["id"] for event in events} == {"chatcmpl-1"}
