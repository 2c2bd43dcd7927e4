"""Clients that know `functions` and `function_call` alone, on a real model that calls tools."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.support.contract import CHAT, Contract, Subject, user
from tests.support.scripted import ScriptedEngine, json_play, running
from tests.support.serving import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

WEATHER: Any = {
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
ASK: Any = user("What is the weather in Berlin and Rome?")
CALL: Any = {"name": "get_weather", "arguments": '{"city": "Berlin"}'}


@pytest_asyncio.fixture(loop_scope="session")
async def client(engines: Contract) -> AsyncIterator[openai.AsyncOpenAI]:
    await engines.subject("demo-qwen")
    async with openai.AsyncOpenAI(base_url=f"{engines.served.url}/v1", api_key="none") as client:
        yield client


async def asked(client: openai.AsyncOpenAI, **more: Any) -> Any:
    return await client.chat.completions.create(
        model="demo-qwen", messages=ASK, functions=[WEATHER], **more
    )


async def test_a_function_is_called_and_its_result_told(client: openai.AsyncOpenAI) -> None:
    (choice,) = (await asked(client)).choices
    assert choice.finish_reason == "function_call"
    assert choice.message.tool_calls is None
    assert choice.message.function_call.name == "get_weather"
    assert "Berlin" in choice.message.function_call.arguments
    turns: Any = [
        *ASK,
        choice.message.model_dump(exclude_none=True),
        {"role": "function", "name": "get_weather", "content": "sunny, 20 degrees"},
    ]
    after = await client.chat.completions.create(model="demo-qwen", messages=turns)
    assert after.choices[0].message.content


async def test_a_stream_says_the_same(client: openai.AsyncOpenAI) -> None:
    whole = (await asked(client)).choices[0].message.function_call
    parts, ends = [], []
    async for chunk in await asked(client, stream=True):
        for choice in chunk.choices:
            assert choice.delta.tool_calls is None
            parts += [choice.delta.function_call] if choice.delta.function_call else []
            ends += [choice.finish_reason] if choice.finish_reason else []
    assert ends == ["function_call"]
    assert parts[0].name == whole.name
    assert "".join(part.arguments or "" for part in parts) == whole.arguments


async def test_what_is_called_can_be_said_and_forbidden(client: openai.AsyncOpenAI) -> None:
    forced = await asked(client, function_call={"name": "get_weather"})
    assert forced.choices[0].message.function_call.name == "get_weather"
    none = await asked(client, function_call="none")
    assert none.choices[0].message.function_call is None


async def test_an_engine_gets_tools_with_ids_and_everything_else_as_it_came() -> None:
    engine = ScriptedEngine(answer=lambda _: json_play({"error": {"message": "No."}}, 400))
    turns: Any = [*ASK, {"role": "assistant", "content": None, "function_call": CALL}]
    turns.append({"role": "function", "name": "get_weather", "content": "sunny"})
    body = {"model": "toy", "messages": turns, "functions": [WEATHER], "function_call": "auto"}
    lab = "engines: {lab: {kind: remote, url: 'URL'}}\nmodels: {toy: {engine: lab}}"
    async with running(engine), serving(lab.replace("URL", engine.url)) as served:
        await served.ready()
        answer = await served.http.post(CHAT, json=body | {"temperature": 0.5, "x": [1.50]})
    assert answer.status_code == 400
    told: Any = engine.heard[-1].json()
    _, call, result = told["messages"]
    assert call["tool_calls"] == [{"id": "call_1", "type": "function", "function": CALL}]
    assert (result["role"], result["tool_call_id"]) == ("tool", "call_1")
    assert told["tools"] == [{"type": "function", "function": WEATHER}]
    assert (told["tool_choice"], told["parallel_tool_calls"]) == ("auto", False)
    assert (told["temperature"], told["x"]) == (0.5, [1.5])
    assert not {"functions", "function_call"} & {*told, *call}


@pytest.mark.parametrize("offered", [{}, {"tools": [{"type": "function", "function": WEATHER}]}])
async def test_what_a_function_returned_long_ago_is_told_as_a_tools_result(offered: Any) -> None:
    engine = ScriptedEngine(answer=lambda _: json_play({"error": {"message": "No."}}, 400))
    turns: Any = [*ASK, {"role": "assistant", "content": None, "function_call": CALL}]
    turns.append({"role": "function", "name": "get_weather", "content": "sunny"})
    turns += [{"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "Thanks!"}]
    lab = "engines: {lab: {kind: remote, url: 'URL'}}\nmodels: {toy: {engine: lab}}"
    async with running(engine), serving(lab.replace("URL", engine.url)) as served:
        await served.ready()
        await served.http.post(CHAT, json={"model": "toy", "messages": turns} | offered)
    told: Any = engine.heard[-1].json()
    # Who offers tools is answered in today's words, and says all of it in them.
    roles = [turn["role"] for turn in told["messages"]]
    assert roles == ["user", "assistant", "function" if offered else "tool", "assistant", "user"]


async def test_a_worker_by_itself_names_what_it_knows(subject: Subject) -> None:
    answer = await subject.post(messages=ASK, functions=[WEATHER])
    if subject.direct:
        assert answer.status_code == 400
        assert "'tools'" in answer.json()["error"]["message"]
    elif not subject.is_vllm:  # which takes tools where it was started for them
        assert answer.status_code == 200
