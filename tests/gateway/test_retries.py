"""Trying again before the first byte: how often, whom, and when not."""

import asyncio
from functools import partial
from typing import Any

import httpx
import pytest

from tests.support.answers import DONE, FIRST, STREAM, as_vllm, chunk
from tests.support.fleets import figure
from tests.support.scripted import Heard, Play, ScriptedEngine, events_play, json_play, running
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


def two_models(first: ScriptedEngine, second: ScriptedEngine) -> str:
    return f"""
gateway: {{breaker_failures: 1, breaker_open_s: 60}}
engines:
  one: {{kind: remote, url: "{first.url}", health_interval_s: 60}}
  two: {{kind: remote, url: "{second.url}", health_interval_s: 60}}
models:
  big: {{engine: one, upstream_model: toy}}
  second: {{engine: two, upstream_model: toy}}
routes: [{{name: all, use: [big, second]}}]
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


async def test_a_date_is_as_good_as_seconds_by_the_engines_own_clock() -> None:
    engine = Refusing(429, "Fri, 31 Dec 1999 23:59:59 GMT\r\ndate: Fri, 31 Dec 1999 23:59:00 GMT")
    async with running(engine), serving(config(engine)) as served:
        assert (await ask(served)).headers["retry-after"] == "59"
        assert 50 < int((await ask(served)).headers["retry-after"]) <= 59


async def test_second_tries_and_circuits_are_counted() -> None:
    bad, well = Refusing(500), ScriptedEngine(answer=as_vllm)
    async with (
        running(bad),
        running(well),
        serving(config(bad, well, door="breaker_failures: 1")) as served,
    ):
        for _ in range(6):
            assert (await ask(served)).status_code == 200
        count = partial(figure, served.gateway.metrics)
        assert count("weighbridge_retries_total", [("reason", "engine_error")]) == len(bad.heard)
        assert count("weighbridge_retries_total") == 1
        assert count("weighbridge_circuit_open", [("replica", f"127.0.0.1:{bad.port}")]) == 1
        assert count("weighbridge_circuit_open") == count("weighbridge_circuit_openings_total") == 1
        assert count("weighbridge_fallbacks_total") == 0


async def test_an_answer_by_another_model_is_counted_with_its_reason() -> None:
    bad, well = Refusing(500), ScriptedEngine(answer=as_vllm)
    async with running(bad), running(well), serving(two_models(bad, well)) as served:
        await served.ready()
        for _ in range(2):
            assert (await ask(served, model="auto")).headers["x-weighbridge-model"] == "second"
        for reason in ("failed", "unavailable"):
            where = [("reason", reason), ("model", "second")]
            assert figure(served.gateway.metrics, "weighbridge_fallbacks_total", where) == 1


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
    door = "breaker_failures: 3, breaker_open_s: 1"
    async with running(engine), serving(config(engine, door=door)) as served:
        statuses = [(await ask(served)).status_code for _ in range(5)]
        assert statuses == [502, 502, 502, 503, 503]
        assert len(engine.heard) == 3
        engine.answer = as_vllm
        while (answer := await ask(served)).status_code == 503:
            assert answer.headers["retry-after"] == "1"
        assert answer.status_code == 200
        assert len(engine.heard) == 4


async def test_a_stream_finds_an_engine_well_with_its_first_word_and_not_with_its_last() -> None:
    engine, gate = Refusing(500), asyncio.Event()
    door = "breaker_failures: 1, breaker_open_s: 0.05"
    async with running(engine), serving(config(engine, door=door)) as served:
        assert (await ask(served)).status_code == 502
        waits = events_play(gate, FIRST, chunk("It "), asyncio.Event())
        engine.answer = lambda heard: waits if heard.json().get("stream") else as_vllm(heard)

        async def chat(**more: Any) -> httpx.Response:
            return await served.http.post("/v1/chat/completions", json=ASK | more)

        while True:
            trying = asyncio.create_task(chat(stream=True))
            await asyncio.wait([trying], timeout=0.1)
            if not trying.done():
                break
            assert trying.result().status_code == 503  # it is left alone still
        other = await chat()  # while nobody knows yet
        assert (other.status_code, other.headers["retry-after"]) == (503, "1")
        gate.set()
        while (answer := await chat()).status_code == 503:
            assert not trying.done()
        assert answer.status_code == 200
        assert not trying.done()
        trying.cancel()
        await asyncio.wait([trying])


async def test_where_all_are_full_the_soonest_is_told() -> None:
    one, two = Refusing(429, "9"), Refusing(429, "60")
    for engines in ((one, two), (two, one)):
        async with running(one), running(two), serving(config(*engines)) as served:
            await served.until(lambda: all(replica.ready for replica in served.gateway.fleet))
            assert (await ask(served)).headers["retry-after"] == "9"


def refused_late(code: int | str, kind: str = "BadRequestError") -> bytes:
    return b'data: {"error":{"message":"No.","type":"%b","param":null,"code":%b}}\n\n' % (
        kind.encode(),
        str(code).encode(),
    )


@pytest.mark.parametrize(
    "event", [refused_late(400), refused_late("null", "invalid_request_error"), refused_late(422)]
)
async def test_what_the_client_did_wrong_may_be_said_in_the_stream_and_blames_no_engine(
    event: bytes,
) -> None:
    one, two = (ScriptedEngine(answer=lambda _: events_play(event, DONE)) for _ in range(2))
    door = "breaker_failures: 1"
    async with running(one), running(two), serving(config(one, two, door=door)) as served:
        for _ in range(6):
            answer = await ask(served, stream=True)
            assert answer.status_code == 400
            assert answer.json()["error"]["message"] == "No."
        assert len(one.heard) + len(two.heard) == 6
        assert figure(served.gateway.metrics, "weighbridge_circuit_openings_total") == 0


async def test_a_clients_fault_that_shows_behind_the_first_words_is_told_and_blames_no_engine() -> (
    None
):
    event = refused_late("null", "invalid_request_error")
    play = lambda _: events_play(*STREAM[:2], event)  # noqa: E731 - both engines' answer
    one, two = (ScriptedEngine(answer=play) for _ in range(2))
    door = "breaker_failures: 1"
    async with running(one), running(two), serving(config(one, two, door=door)) as served:
        for _ in range(6):
            lines = (await ask(served, stream=True)).text.split("\n\n")
            assert '"It "' in lines[1]
            assert '"message":"No."' in lines[2]
            assert '"type":"invalid_request_error"' in lines[2]
        assert len(one.heard) + len(two.heard) == 6
        assert figure(served.gateway.metrics, "weighbridge_circuit_openings_total") == 0


async def test_an_engine_that_fails_in_a_stream_before_its_first_word_is_followed_by_another() -> (
    None
):
    bad = ScriptedEngine(answer=lambda _: events_play(refused_late(500, "InternalServerError")))
    well = ScriptedEngine(answer=lambda _: events_play(*STREAM))
    async with running(bad), running(well), serving(config(bad, well)) as served:
        for _ in range(4):
            assert "weighs." in (await ask(served, stream=True)).text
        assert bad.heard


class Draining(ScriptedEngine):
    """Says what a vLLM says that was told to end: its list of models is as if nothing were."""

    def __init__(self) -> None:
        super().__init__(answer=self._refuse)

    def _refuse(self, _: Heard) -> Play:
        said = "cannot schedule new futures after shutdown"
        return json_play({"error": {"message": said, "type": "InternalServerError"}}, 500)


async def test_an_engine_that_ends_is_left_alone_though_its_health_says_that_it_is_well() -> None:
    async with (
        running(Draining()) as ending,
        running(ScriptedEngine(answer=as_vllm)) as well,
        serving(config(ending, well)) as served,
    ):
        answers = [await ask(served) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 6
        asked = [heard for heard in ending.heard if heard.path.endswith("/completions")]
        assert len(asked) == 1


async def test_where_only_an_engine_that_ends_is_left_clients_hear_when_to_come_again() -> None:
    async with running(Draining()) as ending, serving(config(ending)) as served:
        answer = await ask(served)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "engine_ending"
        assert answer.headers["retry-after"] == "5"
