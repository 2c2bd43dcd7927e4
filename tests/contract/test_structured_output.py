"""Structured output as the openai SDK asks for it, through a whole gateway."""

from collections.abc import AsyncIterator
from typing import Literal

import openai
import pytest
import pytest_asyncio
from openai.types.chat import (
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionMessageParam,
    ChatCompletionToolUnionParam,
)
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tests.support.contract import Contract

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODELS = ("demo-qwen", "demo-llama")
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


class Stop(BaseModel):
    """A place on a journey; with no more keys, or a toy goes on inventing some."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=12)
    nights: int = Field(ge=0, le=14)


class Journey(BaseModel):
    """What an agent plans."""

    by: Literal["train", "boat"]
    stops: list[Stop] = Field(max_length=2)
    remark: str | None = Field(max_length=20)


TOOLS: list[ChatCompletionToolUnionParam] = [
    {
        "type": "function",
        "function": {"name": "plan", "parameters": TypeAdapter(Stop).json_schema()},
    }
]


@pytest_asyncio.fixture(loop_scope="session")
async def client(engines: Contract) -> AsyncIterator[openai.AsyncOpenAI]:
    for model in MODELS:
        await engines.subject(model)
    url = f"{engines.served.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="none", timeout=20) as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
async def test_an_answer_parses_into_the_pydantic_model_that_asked_for_it(
    client: openai.AsyncOpenAI, model: str
) -> None:
    answer = await client.chat.completions.parse(
        model=model, messages=HELLO, response_format=Journey, temperature=1, seed=3
    )
    assert isinstance(answer.choices[0].message.parsed, Journey)


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_parses_too(client: openai.AsyncOpenAI, model: str) -> None:
    async with client.chat.completions.stream(
        model=model, messages=HELLO, response_format=Journey, temperature=1, seed=4
    ) as stream:
        answer = await stream.get_final_completion()
    assert isinstance(answer.choices[0].message.parsed, Journey)


@pytest.mark.parametrize("model", MODELS)
async def test_a_required_tool_is_called(client: openai.AsyncOpenAI, model: str) -> None:
    answer = await client.chat.completions.create(
        model=model,
        messages=HELLO,
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=1,
        seed=5,
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    (call,) = calls
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    Stop.model_validate_json(call.function.arguments)


async def test_what_cannot_be_held_is_a_bad_request_that_says_where(
    client: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(
            model="demo-qwen",
            messages=HELLO,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "array", "uniqueItems": True}},
            },
        )
    assert caught.value.param == "response_format"
    assert "'uniqueItems' (at /uniqueItems" in caught.value.message
