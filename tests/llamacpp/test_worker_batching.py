"""Many requests at once in one worker: the same answers, nobody stalled, the cache overfull."""

import asyncio
import random
from typing import Any

import httpx
import pytest

from tests.conftest import WorkerOf
from tests.support.contract import CHAT, COMPLETIONS, user
from tests.support.demo import Talk
from tests.support.streams import events_of, said
from tests.support.waiting import until
from tests.support.worker import figures
from tools.demo_models.corpus import corpus_of
from tools.demo_models.families import FAMILIES

STEP = 64  # tokens: prompts of some hundred take several steps
# Eight sequences of which three fill the cache.
TIGHT = ("--context", "256", "--cells", "256", "--parallel", "8", "--batch-tokens", "32")


async def answer(http: httpx.AsyncClient, messages: list[dict[str, str]], **fields: Any) -> str:
    told = await http.post(CHAT, json={"messages": messages} | fields)
    assert told.status_code == 200, told.text
    text: str = told.json()["choices"][0]["message"]["content"]
    return text


async def test_sixteen_at_once_get_the_answers_that_each_gets_alone(worker_of: WorkerOf) -> None:
    async with worker_of("demo:qwen", "--batch-tokens", str(STEP)).client() as http:
        talk = Talk(http, corpus_of("qwen"), random.Random(5), FAMILIES["qwen"].context)  # noqa: S311 - no secret
        asked = [
            [*talk.before(at % 5 * 2), *user(question.ask)]
            for at, question in enumerate(talk.sample(16))
        ]
        alone = [await answer(http, messages) for messages in asked]
        together = await asyncio.gather(*(answer(http, messages) for messages in asked))
        streams = await asyncio.gather(
            *(http.post(CHAT, json={"messages": one, "stream": True}) for one in asked)
        )
        assert together == alone
        assert [said(events_of(stream.text)) for stream in streams] == alone


async def test_a_long_prompt_does_not_stall_the_streams_beside_it(worker_of: WorkerOf) -> None:
    async with worker_of("demo:qwen", "--batch-tokens", str(STEP)).client() as http:
        streams = [
            asyncio.create_task(answer(http, user("Hello"), ignore_eos=True, max_tokens=1_900))
            for _ in range(3)
        ]

        async def all_run() -> bool:
            return (await figures(http))["requests_running"] == 3

        await until(all_run)
        before = await figures(http)
        long = {"prompt": [5] * 1_900, "max_tokens": 1}
        assert (await http.post(COMPLETIONS, json=long)).status_code == 200
        after = await figures(http)
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    steps = after["steps"] - before["steps"]
    tokens = after["completion_tokens"] - before["completion_tokens"]
    assert steps >= 1_900 / STEP
    # Before every piece each stream got its token; the two looks may fall into the middle.
    assert tokens >= 3 * (steps / 2 - 3)


async def test_answers_are_right_though_the_cache_overflows(worker_of: WorkerOf) -> None:
    async with worker_of("demo:qwen", *TIGHT).client() as http:
        talk = Talk(http, corpus_of("qwen"), random.Random(6), FAMILIES["qwen"].context)  # noqa: S311 - no secret
        asked = [user(question.ask) for question in talk.sample(24)]
        alone = [await answer(http, messages) for messages in asked]
        before = await figures(http)
        together = await asyncio.gather(*(answer(http, one) for one in asked))
        after = await figures(http)
    assert together == alone
    assert after["preemptions"] > before["preemptions"]
    assert after["requests_running"] == after["requests_waiting"] == 0


@pytest.mark.parametrize("gone", [0, 1])
async def test_a_preempted_request_whose_client_goes_leaves_nothing(
    worker_of: WorkerOf, gone: int
) -> None:
    async with worker_of("demo:qwen", *TIGHT).client() as http:
        fields = {"max_tokens": 200, "ignore_eos": True}
        tasks = [asyncio.create_task(answer(http, user("Hello"), **fields)) for _ in range(6)]
        before = (await figures(http))["preemptions"]

        async def overflows() -> bool:
            return (await figures(http))["preemptions"] > before

        await until(overflows)
        for task in tasks[gone::2]:
            task.cancel()
        kept = await asyncio.gather(*tasks[1 - gone :: 2])
        assert all(text.startswith("Hello!") for text in kept)
        await asyncio.gather(*tasks, return_exceptions=True)

        async def idle() -> bool:
            seen = await figures(http)
            return seen["requests_running"] + seen["requests_waiting"] == 0

        await until(idle)
