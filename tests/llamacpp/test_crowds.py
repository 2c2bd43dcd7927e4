"""Many requests on one worker: all are answered or told to come back, and those who leave go."""

import asyncio
from functools import partial
from typing import Any

import httpx
import pytest

from tests.support.contract import CHAT, COMPLETIONS, EMBEDDINGS, user
from tests.support.waiting import until
from tests.support.worker import WorkerProcess, figures, working

MANY = 1_000
STAY = 100
MOST = 256
LONG_TOKENS = 1_500


def client(worker: WorkerProcess) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None)
    headers = {"content-type": "application/json"}
    return httpx.AsyncClient(base_url=worker.url, timeout=120, limits=limits, headers=headers)


async def idle(http: httpx.AsyncClient, *, most: int = 0) -> None:
    """Wait until no more requests than these run and wait."""

    async def is_idle() -> bool:
        now = await figures(http)
        return now["requests_running"] + now["requests_waiting"] <= most

    await until(is_idle)


async def waiting(http: httpx.AsyncClient, count: int, *, running: int) -> bool:
    """Say whether just so many wait and run."""
    now = await figures(http)
    return (now["requests_waiting"], now["requests_running"]) == (count, running)


async def test_a_thousand_at_once_are_all_answered_and_leave_nothing() -> None:
    body = {"messages": user("Hello"), "max_tokens": 4}
    with working() as worker:
        async with client(worker) as http:
            answers = await asyncio.gather(*(http.post(CHAT, json=body) for _ in range(MANY)))
            assert {answer.status_code for answer in answers} == {200}
            assert (
                len({answer.json()["choices"][0]["message"]["content"] for answer in answers}) == 1
            )
            await idle(http)
            assert (await figures(http))["kv_used_ratio"] == 0


async def test_of_a_thousand_nine_hundred_leave_and_the_rest_is_answered() -> None:
    body = {"prompt": "a", "max_tokens": 100, "ignore_eos": True}
    with working() as worker:
        async with client(worker) as http:
            asked = [asyncio.create_task(http.post(COMPLETIONS, json=body)) for _ in range(MANY)]

            async def are_there() -> bool:
                return (await figures(http))["requests_waiting"] > MANY // 2

            await until(are_there)
            for task in asked[STAY:]:
                task.cancel()
            await idle(http, most=STAY)
            answers = await asyncio.gather(*asked[:STAY])
            assert {answer.status_code for answer in answers} == {200}
            await idle(http)


async def test_beyond_the_most_answers_clients_are_told_to_come_back() -> None:
    body: dict[str, Any] = {"prompt": "a", "max_tokens": 1_000, "ignore_eos": True, "n": 128}
    with working(options=["--max-waiting", str(MOST)]) as worker:
        async with client(worker) as http:
            count = MOST // 128
            asked = [asyncio.create_task(http.post(COMPLETIONS, json=body)) for _ in range(count)]

            async def is_full() -> bool:
                now = await figures(http)
                return now["requests_running"] + now["requests_waiting"] == MOST

            await until(is_full)
            for stream in (False, True):
                refused = await http.post(COMPLETIONS, json=body | {"n": 1, "stream": stream})
                assert refused.status_code == 503
                assert refused.json()["error"]["code"] == "engine_overloaded"
                assert int(refused.headers["retry-after"]) > 0
            refused = await http.post(EMBEDDINGS, json={"input": "a"})
            assert refused.json()["error"]["code"] == "engine_overloaded"
            for task in asked:
                task.cancel()
            await idle(http)
            assert (await http.post(COMPLETIONS, json={"prompt": "a"})).status_code == 200


async def test_texts_that_wait_to_be_embedded_count_as_answers_do() -> None:
    options = ["--max-waiting", str(STAY), "--batch-tokens", "8"]
    texts = [[10 + at % 900 for at in range(LONG_TOKENS)]] * STAY
    with working(options=options) as worker:
        async with client(worker) as http:
            reading = asyncio.create_task(http.post(EMBEDDINGS, json={"input": texts}))

            async def is_read() -> bool:
                return (await figures(http))["text_batches"] > 0

            async def is_refused() -> bool:
                answer = await http.post(COMPLETIONS, json={"prompt": "a", "max_tokens": 1})
                return answer.status_code == 503

            await until(is_read)  # an answer that came before would leave the texts no room
            assert await is_refused()
            reading.cancel()

            async def is_served() -> bool:
                return not await is_refused()

            await until(is_served)
            refused = await http.post(EMBEDDINGS, json={"input": [[7]] * (STAY + 1)})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")


async def test_who_leaves_in_a_long_prompt_frees_the_slot_within_a_step() -> None:
    prompt = [10 + at % 900 for at in range(LONG_TOKENS)]
    with working(options=["--batch-tokens", "8", "--parallel", "1"]) as worker:
        async with client(worker) as http:
            leaving = asyncio.create_task(http.post(COMPLETIONS, json={"prompt": prompt}))

            async def reads() -> bool:
                return (await figures(http))["prompt_tokens"] > 0

            await until(reads)
            leaving.cancel()
            await idle(http)
            read = (await figures(http))["prompt_tokens"]
            assert read < LONG_TOKENS
            assert (await http.post(COMPLETIONS, json={"prompt": [7]})).status_code == 200
            assert (await figures(http))["prompt_tokens"] == read + 1


async def test_of_those_who_wait_for_the_one_slot_who_came_first_begins_first() -> None:
    began: list[int] = []

    async def listen(http: httpx.AsyncClient, at: int) -> None:
        body = {"prompt": [10 + at], "max_tokens": 3, "ignore_eos": True, "stream": True}
        async with http.stream("POST", COMPLETIONS, json=body) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: {") and at not in began:
                    began.append(at)

    with working(options=["--parallel", "1"]) as worker:
        async with client(worker) as http, asyncio.TaskGroup() as listeners:
            first = {"prompt": "a", "max_tokens": 1_500, "ignore_eos": True}
            slot = asyncio.create_task(http.post(COMPLETIONS, json=first))
            for at in range(5):
                await until(partial(waiting, http, at, running=1))
                listeners.create_task(listen(http, at))
            await until(partial(waiting, http, 5, running=1))
            slot.cancel()
    assert began == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("leaves", ["reader", "waiter"])
async def test_who_leaves_while_one_waits_for_the_others_prompt_holds_up_nobody(
    leaves: str,
) -> None:
    """The second waits until the first has read what their prompts have in common."""
    body = {"prompt": [10 + at % 900 for at in range(LONG_TOKENS)], "max_tokens": 4}
    with working(options=["--batch-tokens", "8"]) as worker:
        async with client(worker) as http:
            alone = (await http.post(COMPLETIONS, json=body | {"prompt": [7], "seed": 1})).json()
            reader = asyncio.create_task(http.post(COMPLETIONS, json=body))
            await until(partial(waiting, http, 0, running=1))
            waiter = asyncio.create_task(http.post(COMPLETIONS, json=body))
            await until(partial(waiting, http, 1, running=1))
            leaving, staying = (reader, waiter) if leaves == "reader" else (waiter, reader)
            leaving.cancel()
            await until(partial(waiting, http, 0, running=1))
            answer = await staying
            assert answer.json()["usage"]["prompt_tokens"] == LONG_TOKENS
            await idle(http)
            again = (await http.post(COMPLETIONS, json=body | {"prompt": [7], "seed": 1})).json()
            assert again["choices"][0]["text"] == alone["choices"][0]["text"]
