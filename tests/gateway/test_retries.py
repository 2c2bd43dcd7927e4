"""Trying again before the first byte: how often, whom, and when not."""

from typing import Any

import httpx
import pytest

from tests.support.answers import as_vllm
from tests.support.scripted import Heard, Play, ScriptedEngine, json_play, running
from tests.support.serving import Served, serving

ASK: dict[str, Any] = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}


class Refusing(ScriptedEngine):
    """Answers every request with one status, and may say when to come again."""

    def __init__(self, status: int, retry_after: str | None = None) -> None:
        super().__init__(answer=self._refuse)
        self.status = status
        self.retry_after = retry_after

    def _refuse(self, _: Heard) -> Play:
        play = json_play({"error": {"message": "no"}}, self.status)
        if self.retry_after is not None:
            play.kind += f"\r\nretry-after: {self.retry_after}"
        return play


def config(*engines: ScriptedEngine, door: str = "") -> str:
    urls = ", ".join(f'"{engine.url}"' for engine in engines)
    return f"""
gateway: {{{door}}}
engines: {{lab: {{kind: remote, url: [{urls}], health_interval_s: 60}}}}
models: {{big: {{engine: lab, upstream_model: toy}}}}
"""


async def ask(served: Served, **more: Any) -> httpx.Response:
    await served.until(lambda: not served.gateway.fleet.why_not(["big"]))
    return await served.http.post("/v1/chat/completions", json=ASK | more)


async def test_an_engine_that_asks_for_rest_is_left_alone_and_clients_hear_for_how_long() -> None:
    async with running(Refusing(429, "7")) as engine, serving(config(engine)) as served:
        first, second = await ask(served), await ask(served)
        assert (first.status_code, first.headers["retry-after"]) == (429, "7")
        assert second.status_code == 503
        assert 1 <= int(second.headers["retry-after"]) <= 7
        assert len(engine.heard) == 1


async def test_a_full_engine_is_followed_by_another_and_not_asked_again() -> None:
    well = ScriptedEngine(answer=as_vllm)
    async with (
        running(Refusing(503, "60")) as full,
        running(well),
        serving(config(full, well)) as served,
    ):
        for _ in range(6):
            assert (await ask(served)).status_code == 200
        assert len(full.heard) == 1


@pytest.mark.parametrize("retry_after", ["soon", "-1", ""])
async def test_a_retry_after_that_is_no_number_is_left_out(retry_after: str) -> None:
    async with running(Refusing(429, retry_after)) as engine, serving(config(engine)) as served:
        answer = await ask(served)
        assert answer.status_code == 429
        assert "retry-after" not in answer.headers


async def test_what_the_client_did_wrong_is_tried_nowhere_else() -> None:
    async with (
        running(Refusing(400)) as one,
        running(Refusing(400)) as two,
        serving(config(one, two)) as served,
    ):
        for _ in range(12):
            assert (await ask(served)).status_code == 400
        assert len(one.heard) + len(two.heard) == 12


async def test_a_bad_hour_is_no_storm() -> None:
    one, two = Refusing(500), Refusing(500)
    door = "retry_share: 0.1, breaker_failures: 1000"
    async with running(one), running(two), serving(config(one, two, door=door)) as served:
        for _ in range(40):
            assert (await ask(served)).status_code == 502
        assert len(one.heard) + len(two.heard) <= 40 + 10 + 4


async def test_a_circuit_opens_and_one_request_tries_it_again() -> None:
    engine = Refusing(500)
    door = "breaker_failures: 3, breaker_open_s: 0.2"
    async with running(engine), serving(config(engine, door=door)) as served:
        statuses = [(await ask(served)).status_code for _ in range(5)]
        assert statuses == [502, 502, 502, 503, 503]
        assert len(engine.heard) == 3
        engine.answer = as_vllm
        while (answer := await ask(served)).status_code == 503:
            assert answer.headers["retry-after"] == "1"
        assert answer.status_code == 200
        assert len(engine.heard) == 4
