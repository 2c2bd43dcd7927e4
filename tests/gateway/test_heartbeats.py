"""Streams that wait for a load: headers held, then comments, then the answer or an error event."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest

from tests.support.process import children
from tests.support.staging import Stage, staged
from tests.support.streams import data_of

SOON = "{heartbeat_after_s: 0.1}"
LATE = "{heartbeat_after_s: 60}"
ROUTES = "routes: [{name: r, use: [a, b]}]"


def body(model: str) -> dict[str, Any]:
    return {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}


class Reading:
    """A stream that is read: its status and headers when they come, its text so far."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.text = ""
        self._pieces = answer.aiter_text()

    async def until(self, what: str) -> str:
        async with asyncio.timeout(20):
            while what not in self.text:
                self.text += await anext(self._pieces)
        return self.text

    async def rest(self) -> str:
        async with asyncio.timeout(20):
            async for piece in self._pieces:
                self.text += piece
        return self.text


@asynccontextmanager
async def reading(stage: Stage, model: str = "a") -> AsyncIterator[Reading]:
    http = stage.served.http
    async with http.stream("POST", "/v1/chat/completions", json=body(model)) as answer:
        yield Reading(answer)


def error_of(text: str) -> dict[str, Any]:
    """Return the error that a stream ends with."""
    found: dict[str, Any] = msgspec.json.decode(data_of(text)[-1])["error"]
    return found


async def test_within_the_time_held_the_client_gets_the_true_headers(tmp_path: Path) -> None:
    async with staged(tmp_path, "a: load: demand", LATE) as stage:
        asked = stage.ask("a", stream=True)
        await stage.logged("load a")
        stage.tell("a", "go")
        answer = await asked
        assert answer.status_code == 200
        assert answer.headers["x-weighbridge-model"] == "a"
        assert ": loading" not in answer.text


async def test_a_failure_within_the_time_held_is_the_true_status(tmp_path: Path) -> None:
    async with staged(tmp_path, "a: load: demand", LATE) as stage:
        stage.tell("a", "fail", "bad magic")
        answer = await stage.ask("a", stream=True)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "model_unavailable"
        assert "bad magic" in answer.text
        assert int(answer.headers["retry-after"]) >= 1


async def test_after_it_come_comments_with_the_time_left_and_then_the_whole_answer(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, "a: load: demand", SOON) as stage, reading(stage) as stream:
        assert stream.answer.status_code == 200
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["x-weighbridge-rule"] == "name"
        await stream.until(": loading a, ready in about 30 s\n\n: loading a, ready in about ")
        stage.tell("a", "go")
        text = await stream.rest()
        assert text.endswith("data: [DONE]\n\n")
        said = [msgspec.json.decode(data) for data in data_of(text)[:-1]]
        content = "".join(one["choices"][0]["delta"].get("content", "") for one in said)
        assert content == "I am a"


async def test_a_past_load_tells_how_long_the_next_one_takes(tmp_path: Path) -> None:
    models = "a: load: demand, keep_alive_s: 0.1"
    async with staged(tmp_path, models, SOON, go="a") as stage:
        assert (await stage.ask("a")).status_code == 200
        await stage.reaches("a", "stopped")
        (tmp_path / "a.go").unlink()
        async with reading(stage) as stream:
            text = await stream.until(": loading a")
            assert "30 s" not in text
            stage.tell("a", "go")
            assert "[DONE]" in await stream.rest()


async def test_a_failure_after_it_is_an_error_event(tmp_path: Path) -> None:
    async with staged(tmp_path, "a: load: demand", SOON) as stage, reading(stage) as stream:
        await stream.until(": loading a")
        stage.tell("a", "fail", "bad magic")
        error = error_of(await stream.rest())
        assert error["code"] == "model_unavailable"
        assert "bad magic" in error["message"]
        assert "[DONE]" not in stream.text


async def test_a_deadline_after_it_is_an_error_event(tmp_path: Path) -> None:
    rules = "{heartbeat_after_s: 0.1, load_wait_s: 0.5}"
    async with staged(tmp_path, "a: load: demand", rules) as stage, reading(stage) as stream:
        error = error_of(await stream.rest())
        assert "load_wait_s" in error["message"]


async def test_a_refusal_of_the_engine_after_it_is_an_error_event(tmp_path: Path) -> None:
    async with staged(tmp_path, "a: load: demand", SOON) as stage:
        stage.tell("a", "refuse")
        async with reading(stage) as stream:
            await stream.until(": loading a")
            stage.tell("a", "go")
            error = error_of(await stream.rest())
            assert error["message"] == "not with me"
            assert error["type"] == "invalid_request_error"


async def test_another_model_may_answer_after_it_and_the_chunks_say_which(
    tmp_path: Path,
) -> None:
    models = "a: load: demand\nb: load: demand\n"
    async with staged(tmp_path, models, SOON, ROUTES, go="b") as stage:
        async with reading(stage, "auto") as stream:
            await stream.until(": loading a")
            stage.tell("a", "fail", "bad magic")
            text = await stream.rest()
        assert text.endswith("data: [DONE]\n\n")
        models_told = {msgspec.json.decode(data)["model"] for data in data_of(text)[:-1]}
        assert models_told == {"b"}


async def test_a_request_without_a_stream_always_gets_its_true_status(tmp_path: Path) -> None:
    rules = "{heartbeat_after_s: 0.05, load_wait_s: 0.5}"
    async with staged(tmp_path, "a: load: demand", rules) as stage:
        answer = await stage.ask("a")
        assert answer.status_code == 503
        assert "retry-after" in answer.headers


async def test_a_client_that_leaves_amid_the_comments_ends_its_wait_and_not_the_load(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, "a: load: demand", SOON) as stage:
        async with reading(stage) as stream:
            await stream.until(": loading a")
            assert stage.waiting() == 1
        await stage.quiet()
        stage.tell("a", "go")
        await stage.reaches("a", "ready")
        assert stage.log("ask") == []


async def test_a_loader_that_is_killed_once_keeps_nobody_from_an_answer(tmp_path: Path) -> None:
    async with staged(tmp_path, "a: load: demand", SOON) as stage, reading(stage) as stream:
        await stage.logged("load a")
        loaders = [pid for pid, args in children(os.getpid()).items() if "staged_server" in args]
        for pid in loaders:
            os.kill(pid, signal.SIGKILL)
        await stage.logged("load a", times=2)
        stage.tell("a", "go")
        assert (await stream.rest()).endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("wait", ["comments", "none"])
async def test_the_openai_sdk_reads_the_answer_whether_or_not_comments_came_before(
    tmp_path: Path, wait: str
) -> None:
    async with staged(tmp_path, "a: load: demand", SOON) as stage:
        client = openai.AsyncOpenAI(base_url=f"{stage.served.url}/v1", api_key="x")
        if wait == "none":
            stage.tell("a", "go")
        asking = asyncio.create_task(
            client.chat.completions.create(
                model="a", messages=[{"role": "user", "content": "Hi"}], stream=True
            )
        )
        await stage.logged("load a")
        if wait == "comments":
            await asking  # the headers are there before the model is
            stage.tell("a", "go")
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in await asking])
        assert text == "I am a"
        await client.close()
