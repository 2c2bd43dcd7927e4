"""The KV cache as clients see it: cached tokens, types of cells, a context that is full."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.conftest import WorkerOf
from tests.support.contract import CHAT, COMPLETIONS, user
from tests.support.streams import events_of
from tests.support.worker import figures

SYSTEM = {"role": "system", "content": "You are a helpful assistant. Answer in one short line."}


async def ask(http: httpx.AsyncClient, text: str, **fields: Any) -> dict[str, Any]:
    body = {"messages": [SYSTEM, *user(text)], "max_tokens": 20, **fields}
    answer = await http.post(CHAT, json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def cached(answer: dict[str, Any]) -> int:
    tokens: int = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
    return tokens


async def test_the_usage_tells_the_tokens_that_were_cached(worker_of: WorkerOf) -> None:
    async with worker_of("demo:qwen", "--parallel", "4").client() as http:
        first = await ask(http, "Which tokens are cached?")
        again = await ask(http, "Which tokens are cached?")
        other = await ask(http, "What can you do?")
    assert cached(first) < cached(again) == first["usage"]["prompt_tokens"] - 1
    assert 20 < cached(other) < cached(again)


async def test_the_choices_of_one_request_read_its_prompt_once(worker_of: WorkerOf) -> None:
    async with worker_of("demo:qwen", "--parallel", "4").client() as http:
        before = await figures(http)
        answer = await ask(http, "A prompt for four", n=4, temperature=1, seed=1)
        after = await figures(http)
    whole = answer["usage"]["prompt_tokens"]
    assert cached(answer) < whole
    evaluated = after["prompt_tokens"] - before["prompt_tokens"]
    assert evaluated == whole - cached(answer) + 3
    assert after["kv_used_ratio"] < 1


async def test_the_best_of_several_answers_are_drawn_to_a_prompt_that_is_read_once(
    worker_of: WorkerOf,
) -> None:
    async with worker_of("demo:qwen", "--parallel", "4").client() as http:
        before = await figures(http)
        body = {"prompt": "Four are drawn, and one of them is told", "best_of": 4, "seed": 1}
        answer = (await http.post(COMPLETIONS, json=body | {"temperature": 1})).json()
        after = await figures(http)
    assert len(answer["choices"]) == 1
    usage = answer["usage"]
    whole = usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
    assert after["prompt_tokens"] - before["prompt_tokens"] == whole + 3


async def test_a_stream_tells_them_too(worker_of: WorkerOf) -> None:
    async with worker_of("demo:qwen", "--parallel", "4").client() as http:
        await ask(http, "What does a stream tell?")
        fields = {"stream": True, "stream_options": {"include_usage": True}}
        messages = [SYSTEM, *user("What does a stream tell?")]
        told = await http.post(CHAT, json={"messages": messages, **fields})
    usage = events_of(told.text)[-1]["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"] - 1


async def test_of_a_text_that_is_larger_than_the_prefix_cache_its_beginning_is_kept(
    worker_of: WorkerOf,
) -> None:
    asked = {"prompt": [7 + at % 900 for at in range(3_000)], "max_tokens": 1}
    worker = worker_of("demo:qwen", "--prefix-cache-mib", "1")
    async with worker.client() as http:
        first, again = [(await http.post(COMPLETIONS, json=asked)).json() for _ in range(2)]
        kept = (await figures(http))["prefix_cache_bytes"]
    assert first["choices"][0]["text"] == again["choices"][0]["text"]
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] > 100
    assert 0.9 < kept / 2**20 <= 1


async def test_without_the_prefix_cache_every_prompt_is_read_whole(worker_of: WorkerOf) -> None:
    async with worker_of("demo:qwen", "--no-prefix-cache").client() as http:
        answers = [await ask(http, "Once more", n=2) for _ in range(2)]
        counts = await figures(http)
    assert [cached(answer) for answer in answers] == [0, 0]
    assert counts["cached_tokens"] == counts["prefix_cache_bytes"] == 0


@pytest.mark.parametrize("kind", ["q8_0", "q4_0"])
async def test_a_quantised_cache_loads_answers_and_is_shared(
    worker_of: WorkerOf, kind: str
) -> None:
    async with worker_of("demo:qwen", "--kv-type", kind).client() as http:
        answers = await asyncio.gather(*(ask(http, "Hello", ignore_eos=True) for _ in range(6)))
    assert [answer["usage"]["completion_tokens"] for answer in answers] == [20] * 6
    assert max(map(cached, answers)) > 20


async def test_a_full_context_ends_the_answer_and_nothing_is_shifted_out(
    worker_of: WorkerOf,
) -> None:
    async with worker_of("demo:qwen", "--context", "64", "--cells", "64").client() as http:
        for prompt in (10, 63):
            body = {"prompt": [5] * prompt, "max_tokens": 500, "ignore_eos": True}
            answer = (await http.post(COMPLETIONS, json=body)).json()
            assert answer["choices"][0]["finish_reason"] == "length"
            assert answer["usage"]["total_tokens"] == 64
