"""A worker whose model sees: images over HTTP, beside texts, cached, cancelled, refused."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.contract import CHAT, user
from tests.support.pixels import data_url, png, shown
from tests.support.streams import events_of
from tests.support.worker import WorkerProcess, figures, working

NAMES = ("qwen2vl", "gemma3")
SIZES = ("--context", "512", "--parallel", "4", "--batch-tokens", "16")
pytestmark = pytest.mark.usefixtures("eyes")


@pytest.fixture(scope="module", params=NAMES)
def seeing(request: pytest.FixtureRequest, toys: Path) -> Iterator[WorkerProcess]:
    name: str = request.param
    projector = ("--mmproj", str(toys / f"mmproj-{name}.gguf"), "--name", name)
    with working(str(toys / f"{name}.gguf"), (*projector, *SIZES)) as worker:
        yield worker


async def ask(http: httpx.AsyncClient, messages: Any, **fields: Any) -> dict[str, Any]:
    body = {"messages": messages, "temperature": 0, "max_tokens": 6, "logprobs": True}
    answer = await http.post(CHAT, json=body | fields)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def first_logprob(told: dict[str, Any]) -> float:
    found: float = told["choices"][0]["logprobs"]["content"][0]["logprob"]
    return found


def content(told: dict[str, Any]) -> str:
    found: str = told["choices"][0]["message"]["content"]
    return found


async def test_the_model_says_that_it_sees_and_answers_to_an_image(seeing: WorkerProcess) -> None:
    async with seeing.client() as http:
        row = (await http.get("/v1/models")).json()["data"][0]
        assert row["capabilities"] == ["generation", "vision"]
        one, other = [await ask(http, shown(png(seed=seed))) for seed in (0, 1)]
        blind = await ask(http, user("look: what is it?"))
    assert len({first_logprob(told) for told in (one, other, blind)}) == 3
    used, bare = one["usage"]["prompt_tokens"], blind["usage"]["prompt_tokens"]
    assert used > bare  # an image's tokens count
    assert one["usage"]["total_tokens"] == used + one["usage"]["completion_tokens"]


async def test_images_and_texts_at_once_get_the_answers_that_they_get_alone(
    seeing: WorkerProcess,
) -> None:
    asked = [shown(png(80 + 9 * seed, 70, seed)) for seed in range(4)]
    asked += [user(f"say {seed} of them again") for seed in range(4)]
    async with seeing.client() as http:
        together = await asyncio.gather(*(ask(http, messages) for messages in asked))
        alone = [await ask(http, messages) for messages in asked]
        left = await figures(http)
    assert [content(told) for told in together] == [content(told) for told in alone]
    assert (left["requests_running"], left["kv_used_ratio"]) == (0, 0)


async def test_what_has_read_an_image_is_reused_by_the_same_image_alone(
    seeing: WorkerProcess,
) -> None:
    async with seeing.client() as http:
        first = await ask(http, shown(png(90, 90, 7), "one question"))
        turn = {"role": "assistant", "content": content(first)}
        again = await ask(http, [*shown(png(90, 90, 7), "one question"), turn, *user("and now?")])
        other = await ask(http, shown(png(90, 90, 8), "one question"))
        fresh = await ask(http, shown(png(90, 90, 8), "one question"), max_tokens=5)
    before = again["usage"]["prompt_tokens"]
    cached = again["usage"]["prompt_tokens_details"]["cached_tokens"]
    if cached:  # a window that slides reuses what a prompt begins with wholly, and noise is not
        assert cached > first["usage"]["prompt_tokens"] - 20
        assert other["usage"]["prompt_tokens_details"]["cached_tokens"] < before // 2
    assert content(fresh).startswith(content(other)[:3])


@pytest.mark.parametrize("name", NAMES)
async def test_an_answer_to_an_image_ends_where_the_context_does_whatever_may_give_way(
    toys: Path, name: str
) -> None:
    options = ("--mmproj", str(toys / f"mmproj-{name}.gguf"), "--context-shift", "--context", "128")
    with working(str(toys / f"{name}.gguf"), options) as worker:
        async with worker.client() as http:
            told = await ask(http, shown(png()), max_tokens=500, ignore_eos=True)
    assert told["choices"][0]["finish_reason"] == "length"
    assert told["usage"]["total_tokens"] == 128


async def test_an_answer_to_an_image_is_streamed(seeing: WorkerProcess) -> None:
    body = {"messages": shown(png(seed=5)), "max_tokens": 6, "temperature": 0, "stream": True}
    async with seeing.client() as http:
        events = events_of((await http.post(CHAT, json=body)).text)
        whole = await ask(http, shown(png(seed=5)))
    said = "".join(event["choices"][0]["delta"].get("content") or "" for event in events)
    assert said == content(whole)


async def test_who_leaves_while_images_are_read_takes_nothing_along(
    seeing: WorkerProcess,
) -> None:
    async with seeing.client() as http:
        wide = [ask(http, shown(png(200, 200, seed)), max_tokens=200) for seed in range(20, 26)]
        asked = [asyncio.create_task(one) for one in wide]
        async with asyncio.timeout(60):
            while not (await figures(http))["requests_running"] and not asked[0].done():
                pass  # each look gives the others their turn
        for task in asked[::2]:
            task.cancel()
        kept = await asyncio.gather(*asked[1::2])  # raises what became of them
        after = await ask(http, shown(png(seed=2)))
        assert content(after)
        async with asyncio.timeout(60):
            while (await figures(http))["requests_running"]:
                await figures(http)
        assert (await figures(http))["kv_used_ratio"] == 0
    assert all(told["usage"]["completion_tokens"] for told in kept)


async def test_tokens_of_an_image_are_counted_and_have_no_text(seeing: WorkerProcess) -> None:
    async with seeing.client() as http:
        told = (await http.post("/tokenize", json={"messages": shown(png(seed=3))})).json()
        answer = await ask(http, shown(png(seed=3)))
    assert told["count"] == answer["usage"]["prompt_tokens"]
    assert told["tokens"].count(-1) >= 4


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:1/a.png", "unsupported_image_url"),
        (data_url(b"GIF89a"), "invalid_image"),
        (data_url(png()[:60]), "invalid_image"),
        (data_url(png(224, 224)[:2_000]), "invalid_image"),
    ],
)
async def test_an_image_that_cannot_be_read_is_refused_where_it_stands(
    seeing: WorkerProcess, url: str, code: str
) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": url}}]
    async with seeing.client() as http:
        answer = await http.post(CHAT, json={"messages": [{"role": "user", "content": parts}]})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, "messages[0].content[1]")


async def test_a_model_without_sight_says_so(worker_of: Any) -> None:
    async with worker_of().client() as http:
        answer = await http.post(CHAT, json={"messages": shown(png())})
        row = (await http.get("/v1/models")).json()["data"][0]
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_capability"
    assert "vision" not in row["capabilities"]
