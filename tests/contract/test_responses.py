"""OpenAI's Responses API, as its SDK asks it, on real models and on engines of our own."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from pydantic import BaseModel

from tests.support.answers import DONE, FIRST, chunk, usage_chunk
from tests.support.contract import Contract
from tests.support.scripted import CUT, ScriptedEngine, events_play, json_play, running
from tests.support.serving import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

RESPONSES = "/v1/responses"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
PRIME = "Is 91 a prime number?"  # which is thought about
BOTH = "What is the weather in Berlin and Rome?"


class Verdict(BaseModel):
    right: bool


@pytest_asyncio.fixture(loop_scope="session")
async def client(engines: Contract) -> AsyncIterator[openai.AsyncOpenAI]:
    await engines.subject("demo-qwen")
    async with openai.AsyncOpenAI(base_url=f"{engines.served.url}/v1", api_key="none") as client:
        yield client


async def test_an_answer_says_what_chat_says(client: openai.AsyncOpenAI) -> None:
    chat = await client.chat.completions.create(
        model="demo-qwen", messages=[{"role": "user", "content": "Hello"}]
    )
    answer = await client.responses.create(model="demo-qwen", input="Hello", metadata={"a": "b"})
    assert answer.output_text == chat.choices[0].message.content
    assert (answer.status, answer.model, answer.metadata) == ("completed", "demo-qwen", {"a": "b"})
    assert chat.usage is not None
    assert answer.usage is not None
    assert answer.usage.total_tokens == chat.usage.total_tokens


async def test_a_stream_ends_as_the_answer_at_once(client: openai.AsyncOpenAI) -> None:
    whole = await client.responses.create(model="demo-qwen", input="Hello", temperature=0)
    types, numbers = [], []
    async with client.responses.stream(model="demo-qwen", input="Hello", temperature=0) as stream:
        async for event in stream:
            types.append(event.type)
            numbers.append(event.sequence_number)
        final = await stream.get_final_response()
    assert final.output_text == whole.output_text
    assert final.usage is not None
    assert whole.usage is not None
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert types[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert types[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert numbers == sorted(set(numbers))


async def test_log_probabilities_are_those_of_chat_whole_and_streamed(
    client: openai.AsyncOpenAI,
) -> None:
    fields: Any = {"model": "demo-qwen", "temperature": 0, "top_logprobs": 2}
    chat = await client.chat.completions.create(
        messages=[{"role": "user", "content": "Hello"}], logprobs=True, **fields
    )
    assert chat.choices[0].logprobs is not None
    expected = [one.model_dump() for one in chat.choices[0].logprobs.content or ()]
    wanted: Any = {"include": ["message.output_text.logprobs"], "input": "Hello"}
    whole: Any = await client.responses.create(**fields, **wanted)
    (message,) = whole.output
    found = [one.model_dump() for one in message.content[0].logprobs]
    assert [one["token"] for one in found] == [one["token"] for one in expected]
    assert [len(one["top_logprobs"]) for one in found] == [2] * len(expected)
    stream: Any = await client.responses.create(**fields, **wanted, stream=True)
    events = [event async for event in stream]
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [one.token for event in deltas for one in event.logprobs] == [
        one["token"] for one in expected
    ]
    (done,) = [event for event in events if event.type == "response.output_text.done"]
    assert len(done.logprobs) == len(expected)
    without: Any = await client.responses.create(**fields, input="Hello")
    assert without.output[0].content[0].logprobs == []


async def test_log_probabilities_behind_a_thought_are_the_messages_own(
    client: openai.AsyncOpenAI,
) -> None:
    fields: Any = {"include": ["message.output_text.logprobs"], "temperature": 0}
    answer: Any = await client.responses.create(model="demo-qwen", input=PRIME, **fields)
    thought, message = answer.output
    assert (thought.type, message.type) == ("reasoning", "message")
    (part,) = message.content
    assert "".join(one.token for one in part.logprobs).strip() == part.text != ""
    stream: Any = await client.responses.create(
        model="demo-qwen", input=PRIME, stream=True, **fields
    )
    (done,) = [event async for event in stream if event.type == "response.output_text.done"]
    assert "".join(one.token for one in done.logprobs).strip() == part.text


@pytest.mark.parametrize("stream", [False, True])
async def test_functions_are_called_and_their_results_told(
    client: openai.AsyncOpenAI, stream: bool
) -> None:
    if stream:
        async with client.responses.stream(
            model="demo-qwen", input=BOTH, tools=[WEATHER]
        ) as events:
            answer: Any = await events.get_final_response()
    else:
        answer = await client.responses.create(model="demo-qwen", input=BOTH, tools=[WEATHER])
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Berlin"}, {"city": "Rome"}]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 20 degrees"}
        for call in calls
    ]
    turns: Any = [{"role": "user", "content": BOTH}, *answer.output, *results]
    after = await client.responses.create(model="demo-qwen", input=turns, tools=[WEATHER])
    assert "Berlin" in after.output_text


async def test_an_answer_is_held_to_a_schema(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.parse(model="demo-qwen", input="Hello", text_format=Verdict)
    assert isinstance(answer.output_parsed, Verdict)


async def test_an_answer_that_is_cut_is_incomplete(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(model="demo-qwen", input="Hello", max_output_tokens=3)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    fields: Any = {"model": "demo-qwen", "input": "Hello", "max_output_tokens": 3}
    stream: Any = await client.responses.create(**fields, stream=True)
    (done,) = [event async for event in stream if event.type == "response.output_item.done"]
    items: list[Any] = [*answer.output, done.item]
    assert [item.status for item in items] == ["incomplete", "incomplete"]
    assert items[0].content[0].text == items[1].content[0].text != ""


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, None),
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "user", "content": "a"}, {"role": "x"}]}, "input[1].role"),
        ({"instructions": "Help.", "input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "assistant", "content": 5}]}, "input[0].content"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"reasoning": {"effort": 5}}, "reasoning.effort"),
        ({"text": {"format": {"type": "json_schema", "schema": {"not": {}}}}}, "text.format"),
        ({"input": "Hello " * 9_000}, "input"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"text": {"format": "json"}}, "text.format"),
    ],
)
async def test_what_is_not_there_is_refused_by_name(
    client: openai.AsyncOpenAI, asked: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**{"model": "demo-qwen", "input": "Hello"} | asked)
    assert "messages" not in refused.value.message
    assert refused.value.param == (param or "input[0].content[0].type")


def lab(engine: ScriptedEngine) -> str:
    return (
        f"engines: {{lab: {{kind: remote, url: '{engine.url}', health_interval_s: 60}}}}\n"
        "models: {toy: {engine: lab, on_break: fail}}"
    )


async def test_an_engine_gets_a_chat() -> None:
    engine = ScriptedEngine(answer=lambda _: json_play({"error": {"message": "No."}}, 400))
    turns = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Look"}, picture()]},
        {"type": "reasoning", "id": "r", "summary": [], "content": [{"text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
    ]
    body = {
        "model": "toy",
        "input": turns,
        "instructions": "Help.",
        "max_output_tokens": 9,
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "name": "get_weather"},
        "store": True,
        "top_k": 5,
        "n": 2,
    }
    async with running(engine), serving(lab(engine)) as served:
        await served.ready()
        answer = await served.http.post(RESPONSES, json=body)
    assert answer.status_code == 400
    assert engine.heard[-1].path == "/v1/chat/completions"
    assert engine.heard[-1].json() == {
        "model": "toy",
        "messages": [
            {"role": "system", "content": "Help."},
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image_url", "image_url": {"url": "data:,x", "detail": "low"}},
                ],
            },
            {
                "role": "assistant",
                "content": "I",
                "reasoning_content": "Hm.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
        ],
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}},
        },
        "tools": [
            {
                "type": "function",
                "function": {name: part for name, part in WEATHER.items() if name != "type"},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "top_k": 5,
    }


def picture() -> dict[str, str]:
    return {"type": "input_image", "image_url": "data:,x", "detail": "low"}


async def told(*events: Any) -> list[Any]:
    """Return what the SDK reads of a stream that an engine writes."""
    engine = ScriptedEngine(answer=lambda _: events_play(*events))
    async with running(engine), serving(lab(engine)) as served:
        await served.ready()
        async with openai.AsyncOpenAI(
            base_url=f"{served.url}/v1", api_key="none", max_retries=0
        ) as client:
            stream = await client.responses.create(model="toy", input="Hello", stream=True)
            return [event async for event in stream]


async def test_thoughts_are_an_item_of_their_own() -> None:
    thought = chunk("x").replace(b'"content"', b'"reasoning_content"')
    events = await told(
        FIRST, thought, chunk("It weighs."), chunk(finish="stop"), usage_chunk(), DONE
    )
    assert [item.type for item in events[-1].response.output] == ["reasoning", "message"]
    assert events[-1].response.output[0].content[0].text == "x"
    assert events[-1].response.output_text == "It weighs."


async def test_a_refusal_is_a_part_of_its_own_with_its_own_events() -> None:
    refused = [
        chunk(text).replace(b'"content"', b'"refusal"') for text in ("I cannot ", "do that.")
    ]
    events = await told(FIRST, *refused, chunk(finish="stop"), usage_chunk(), DONE)
    (item,) = events[-1].response.output
    assert (item.type, item.status, item.content[0].type) == ("message", "completed", "refusal")
    assert item.content[0].refusal == "I cannot do that."
    assert [event.type for event in events if "refusal" in event.type] == [
        "response.refusal.delta",
        "response.refusal.delta",
        "response.refusal.done",
    ]
    (done,) = (event for event in events if event.type == "response.refusal.done")
    assert (done.refusal, done.item_id) == ("I cannot do that.", item.id)
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("odd", [{"content": [{"type": "thinking"}]}, {"tool_calls": "x"}])
async def test_an_event_of_another_shape_does_not_end_a_stream(odd: dict[str, Any]) -> None:
    event = chunk("x").replace(b'{"content":"x"}', json.dumps(odd).encode())
    events = await told(FIRST, event, chunk("It weighs."), chunk(finish="stop"), DONE)
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "It weighs."


async def test_a_stream_that_breaks_ends_as_failed() -> None:
    events = await told(FIRST, chunk("It "), CUT)
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.message
    assert [item.status for item in events[-1].response.output] == ["incomplete"]


@pytest.mark.parametrize("end", [(chunk(finish="length"), usage_chunk(), DONE), (CUT,)])
async def test_a_call_that_broke_is_incomplete_though_its_rest_came_as_text(end: Any) -> None:
    def call(index: int, arguments: str) -> bytes:
        function = {"name": "f", "arguments": arguments}
        calls = [{"index": index, "id": f"c{index}", "type": "function", "function": function}]
        return chunk("x").replace(b'"content":"x"', b'"tool_calls":%b' % json.dumps(calls).encode())

    events = await told(FIRST, call(0, "{}"), call(1, ""), chunk("argum"), *end)
    output = events[-1].response.output
    assert [(item.type, item.status) for item in output] == [
        ("function_call", "completed"),
        ("function_call", "incomplete"),
        ("message", "incomplete"),
    ]


async def test_what_comes_before_an_answer_does_not_begin_the_response() -> None:
    """As Azure's first event, which tells of the prompt alone and has no name."""
    before = FIRST.replace(b'"chatcmpl-1"', b'""').replace(b'"toy"', b'""')
    before = before[: before.index(b'"choices"')] + b'"choices":[],"prompt_filter_results":[]}\n\n'
    spoken = chunk("It weighs.").replace(b'"object"', b'"error":null,"object"')
    events = await told(before, FIRST, spoken, chunk(finish="stop"), usage_chunk(), DONE)
    first, last = events[0].response, events[-1].response
    assert (first.id, first.model) == (last.id, last.model) == ("resp_1", "toy")
    assert (last.status, last.output_text) == ("completed", "It weighs.")
    assert [item.status for item in last.output] == ["completed"]
