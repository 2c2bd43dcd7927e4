"""The openai Python SDK, as people use it, against a whole gateway."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionMessageParam
from pydantic import SecretStr

from gateway.middleware import DoorRules
from tests.support.contract import CHAT, Contract, user
from tests.support.recorded import MODEL, RecordedVllm
from tests.support.scripted import CUT, Play, ScriptedEngine, json_play, running
from tests.support.serving import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEMOS = ("demo-qwen", "demo-coder", "demo-llama")
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@asynccontextmanager
async def sdk(url: str, api_key: str = "none") -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=api_key, timeout=20) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def client(engines: Contract) -> AsyncIterator[openai.AsyncOpenAI]:
    for model in DEMOS:
        await engines.subject(model)
    async with sdk(engines.served.url) as client:
        yield client


@pytest.mark.parametrize("model", DEMOS)
async def test_each_demo_model_chats_and_streams_the_same(
    client: openai.AsyncOpenAI, model: str
) -> None:
    whole = await client.chat.completions.create(model=model, messages=HELLO)
    assert whole.model == model
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    stream = await client.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


async def test_the_sdk_that_blocks_chats_streams_and_raises_too(engines: Contract) -> None:
    await engines.subject("demo-qwen")

    def talk() -> tuple[str | None, str, str | None]:
        with openai.OpenAI(base_url=f"{engines.served.url}/v1", api_key="none") as client:
            whole = client.chat.completions.create(model="demo-qwen", messages=HELLO)
            with client.chat.completions.create(
                model="demo-qwen", messages=HELLO, stream=True
            ) as stream:
                text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
            with pytest.raises(openai.NotFoundError) as caught:
                client.chat.completions.create(model="nobody", messages=HELLO)
            return whole.choices[0].message.content, text, caught.value.code

    content, text, code = await asyncio.to_thread(talk)
    assert text == content
    assert code == "model_not_found"


async def test_a_completion_and_its_stream_say_the_same(client: openai.AsyncOpenAI) -> None:
    ask: dict[str, Any] = {"model": "demo-qwen", "prompt": "Monday, Tuesday", "max_tokens": 9}
    whole = await client.completions.create(**ask)
    stream = await client.completions.create(**ask, stream=True)
    text = "".join([chunk.choices[0].text async for chunk in stream])
    assert text == whole.choices[0].text != ""


async def test_the_models_are_listed_and_looked_up(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert {*DEMOS, "small", "auto"} <= {*names}
    assert (await client.models.retrieve("demo-llama")).id == "demo-llama"
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("nobody")
    assert caught.value.code == "model_not_found"


async def test_embeddings_are_the_same_as_floats_and_as_base64(
    client: openai.AsyncOpenAI,
) -> None:
    texts = ["Hello", "How do I add a real model?"]
    ask: dict[str, Any] = {"model": "demo-qwen", "input": texts}
    by_default = await client.embeddings.create(**ask)  # the SDK asks for base64 and decodes it
    floats = await client.embeddings.create(**ask, encoding_format="float")
    packed = await client.embeddings.create(**ask, encoding_format="base64")
    assert [item.index for item in floats.data] == [0, 1]
    assert floats.usage.prompt_tokens > 0
    for one, other, raw in zip(by_default.data, floats.data, packed.data, strict=True):
        assert one.embedding == other.embedding
        assert sum(value * value for value in other.embedding) == pytest.approx(1, abs=1e-5)
        bytes_ = base64.b64decode(str(raw.embedding))
        assert [*struct.unpack(f"<{len(bytes_) // 4}f", bytes_)] == other.embedding


async def test_a_model_without_embeddings_names_those_that_have_them(
    client: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.embeddings.create(model="demo-llama", input="Hello")
    assert caught.value.code == "unsupported_capability"
    assert caught.value.param == "model"
    assert "demo-qwen" in caught.value.message


async def test_errors_have_the_class_code_and_param_that_openai_gives(
    client: openai.AsyncOpenAI,
) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.NotFoundError) as unknown:
        await create(model="demo-qwem", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    assert unknown.value.param == "model"
    assert "demo-qwen" in unknown.value.message
    with pytest.raises(openai.BadRequestError) as hot:
        await create(model="demo-qwen", messages=HELLO, temperature=3)
    assert hot.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as long:
        await create(model="demo-qwen", messages=[{"role": "user", "content": "hello " * 3_000}])
    assert long.value.code == "context_length_exceeded"
    assert hot.value.request_id


async def test_fields_that_the_sdk_knows_never_fail(client: openai.AsyncOpenAI) -> None:
    told = await client.chat.completions.create(
        model="demo-llama",
        messages=[{"role": "developer", "content": "Be brief."}, *HELLO],
        user="u",
        store=True,
        metadata={"a": "b"},
        parallel_tool_calls=False,
        logit_bias={},
        stop=None,
        extra_body={"nobody_knows": 1},
    )
    assert told.choices[0].message.content


async def test_without_a_model_the_gateway_chooses(engines: Contract) -> None:
    for model in DEMOS:
        await engines.subject(model)
    answer = await engines.served.http.post(CHAT, json={"messages": user("Hello")})
    assert answer.status_code == 200
    assert answer.headers["x-weighbridge-model"] == answer.json()["model"]


async def test_a_stream_that_breaks_raises_in_the_sdk() -> None:
    first = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    first += b'[{"index":0,"delta":{"content":"It "},"finish_reason":null}]}\n\n'
    play = Play([first, CUT], kind="text/event-stream")
    async with (
        running(ScriptedEngine((MODEL,), lambda _: play)) as engine,
        serving(config(engine)) as served,
        sdk(served.url) as client,
    ):
        heard = []
        stream = await client.chat.completions.create(model="far", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError) as caught:
            heard += [chunk async for chunk in stream]
        assert caught.value.code == "engine_error"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_the_sdk_does_not_retry_what_the_gateway_has_retried(status: int) -> None:
    refused = json_play({"error": {"message": "no"}}, status)
    async with (
        running(ScriptedEngine((MODEL,), lambda _: refused)) as engine,
        serving(config(engine)) as served,
        sdk(served.url) as client,
    ):
        await served.ready()
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="far", messages=HELLO)
        assert client.max_retries == 2
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert len(engine.heard) == 1


async def test_a_key_is_asked_for_and_taken() -> None:
    rules = DoorRules(key=SecretStr("right"))
    async with running(RecordedVllm()) as engine, serving(config(engine), rules) as served:
        async with sdk(served.url, api_key="wrong") as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await client.chat.completions.create(model="far", messages=HELLO)
            assert caught.value.code == "invalid_api_key"
        async with sdk(served.url, api_key="right") as client:
            told = await client.chat.completions.create(model="far", messages=HELLO)
            assert told.model == "far"
            assert "authorization" not in engine.heard[0].headers


def config(engine: ScriptedEngine) -> str:
    return f"""
engines: {{lab: {{kind: remote, url: "{engine.url}", health_interval_s: 60}}}}
models: {{far: {{engine: lab, upstream_model: {MODEL}}}}}
"""
