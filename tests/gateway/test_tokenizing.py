"""What an engine is asked and what it may answer; what becomes of a request that did not fit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from engines.protocol.requests import ChatRequest, CompletionRequest
from gateway.tokenizing import answered, question
from tests.support.answers import chat_answer
from tests.support.scripted import Heard, Play, ScriptedEngine, json_play, running
from tests.support.serving import Served, serving

WORDS = "plain words of English "


class Engine(ScriptedEngine):
    """Counts `count` tokens in every prompt, or cannot; refuses to answer more than `context`."""

    def __init__(self, count: int | None = None, context: int = 10**6) -> None:
        super().__init__(answer=self._played)
        self.count = count
        self.context = context

    def _played(self, heard: Heard) -> Play:
        if heard.path == "/tokenize":
            return json_play({}, 404) if self.count is None else json_play({"count": self.count})
        if len(heard.body) > self.context:
            message = f"This model's maximum context length is {self.context} tokens."
            return json_play({"error": {"message": message}}, 400)
        return json_play(chat_answer())

    def asked(self, path: str) -> int:
        return sum(heard.path == path for heard in self.heard)


@asynccontextmanager
async def served_by(short: Engine, long: Engine, routes: str) -> AsyncIterator[Served]:
    async with running(short), running(long), serving(config(short, long, routes)) as served:
        yield served


def config(short: Engine, long: Engine, routes: str) -> str:
    return f"""
engines:
  one: {{kind: remote, url: "{short.url}", health_interval_s: 60}}
  two: {{kind: remote, url: "{long.url}", health_interval_s: 60}}
models:
  short: {{engine: one, upstream_model: toy, context: 4000}}
  long: {{engine: two, upstream_model: toy, context: 100000}}
routes: {routes}
"""


BY_SIZE = "[{name: big, when: {request_size: large}, use: long}, {name: rest, use: [short, long]}]"
IN_ORDER = "[{name: all, use: [short, long]}]"
CHAT = "/v1/chat/completions"


async def ask(served: Served, words: int, model: str = "auto", **more: Any) -> Any:
    await served.ready()
    messages = [{"role": "user", "content": WORDS * (words // 4)}]
    return await served.http.post(CHAT, json={"model": model, "messages": messages, **more})


@pytest.mark.parametrize(("count", "rule"), [(4_000, "big"), (3_999, "rest")])
async def test_near_a_threshold_the_engine_counts(count: int, rule: str) -> None:
    short, long = Engine(count), Engine(count)
    async with served_by(short, long, BY_SIZE) as served:
        answer = await ask(served, 3_500)
        assert answer.headers["x-weighbridge-rule"] == rule
        assert short.asked("/tokenize") + long.asked("/tokenize") == 1
        await ask(served, 50)
        assert short.asked("/tokenize") + long.asked("/tokenize") == 1
        scraped = (await served.http.get("/metrics")).text
        counts = [line for line in scraped.splitlines() if "prompt_counts_total{" in line]
        assert len(counts) == 1
        assert counts[0].endswith('told="yes"} 1.0')


async def test_an_engine_that_cannot_count_is_not_asked_again() -> None:
    short, long = Engine(), Engine()
    async with served_by(short, long, BY_SIZE) as served:
        for _ in range(3):
            assert (await ask(served, 3_500)).status_code == 200
        assert short.asked("/tokenize") + long.asked("/tokenize") == 1


async def test_what_does_not_fit_the_first_goes_to_the_next() -> None:
    short, long = Engine(), Engine()
    async with served_by(short, long, IN_ORDER) as served:
        answer = await ask(served, 8_000)
        assert answer.headers["x-weighbridge-model"] == "long"
        answer = await ask(served, 50, max_tokens=5_000)
        assert answer.headers["x-weighbridge-model"] == "long"
        assert short.heard == []


async def test_what_fits_nowhere_is_refused_with_both_numbers() -> None:
    short, long = Engine(), Engine()
    async with served_by(short, long, IN_ORDER) as served:
        answer = await ask(served, 50, max_tokens=200_000)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["code"] == "context_length_exceeded"
        assert "200000 are wanted" in error["message"]
        assert "has 100000" in error["message"]
        answer = await ask(served, 12_000, model="short")
        assert answer.json()["error"]["code"] == "context_length_exceeded"
        assert short.heard == []


async def test_a_prompt_that_an_engine_refuses_as_too_long_is_promoted_once() -> None:
    short, long = Engine(context=100), Engine()
    async with served_by(short, long, IN_ORDER) as served:
        answer = await ask(served, 500)
        assert (answer.status_code, answer.headers["x-weighbridge-model"]) == (200, "long")
        assert (short.asked(CHAT), long.asked(CHAT)) == (1, 1)
        long.context = 100
        answer = await ask(served, 500)
        assert answer.json()["error"]["code"] == "context_length_exceeded"
        assert (short.asked(CHAT), long.asked(CHAT)) == (2, 2)


async def test_a_named_model_is_not_replaced_by_a_longer_one() -> None:
    short, long = Engine(context=100), Engine()
    async with served_by(short, long, IN_ORDER) as served:
        answer = await ask(served, 500, model="short")
        assert (answer.status_code, long.heard) == (400, [])


def test_the_question_is_the_request_with_its_texts_for_those_who_know_no_messages() -> None:
    body = b'{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}'
    asked = msgspec.json.decode(question(msgspec.json.decode(body, type=ChatRequest), body, "m"))
    assert asked == msgspec.json.decode(body) | {"model": "m", "content": "a\nb"}
    ids = CompletionRequest(prompt=[1, 2])
    asked = msgspec.json.decode(question(ids, b'{"prompt": [1, 2]}', "m"))
    assert asked == {"model": "m", "prompt": [1, 2], "content": ""}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"count": 7, "max_model_len": 9, "tokens": [1]}', 7),  # vLLM and our workers
        (b'{"tokens": [1, 2, 3]}', 3),  # llama-server
        (b'{"tokens": [{"id": 1, "piece": "a"}]}', 1),
        (b'{"tokens": []}', None),
        (b'{"count": 0}', None),
        (b'{"count": "x"}', None),
        (b"[]", None),
        (b"nonsense", None),
        (b"\xff", None),
    ],
)
def test_an_answer_is_a_count_or_tokens_and_anything_else_is_none(
    body: bytes, tokens: int | None
) -> None:
    assert answered(body) == tokens
