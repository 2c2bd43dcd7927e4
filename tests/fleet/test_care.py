"""Looking after remote servers: what their answers mean, and how soon a change is seen."""

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engines.kinds import ReplicaPlan
from gateway.fleet import Replica
from gateway.fleet.looking import Look, Looker
from gateway.relay.client import NoFileLeft, UpstreamClient
from tests.support.answers import as_vllm
from tests.support.scripted import Heard, Play, ScriptedEngine, running
from tests.support.serving import Served, serving
from tests.support.staging import staged
from tests.support.waiting import until

ASK = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}


def config(*urls: str, interval_s: float = 60, more: str = "") -> str:
    listed = ", ".join(f'"{url}"' for url in urls)
    return f"""
gateway: {{queue_timeout_s: 5}}
engines: {{lab: {{kind: remote, url: [{listed}], health_interval_s: {interval_s}{more}}}}}
models: {{big: {{engine: lab, upstream_model: toy}}}}
"""


def only(served: Served) -> Replica:
    (replica,) = served.gateway.fleet
    return replica


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "rejects the key"),
        (403, "rejects the key"),
        (404, "engine's url"),
        (301, "redirects are not followed: check the engine's url"),
        (500, "500"),
    ],
)
async def test_a_server_that_refuses_is_down_and_says_why(status: int, words: str) -> None:
    engine = ScriptedEngine(models_status=status)
    async with running(engine), serving(config(engine.url)) as served:
        await served.until(lambda: only(served).condition.value == "down")
        assert words in only(served).reason
        answer = await served.http.post("/v1/chat/completions", json=ASK)
        assert answer.status_code == 503
        assert words in answer.json()["error"]["message"]


class WebPage(ScriptedEngine):
    """Something else than an engine: whatever is asked, it shows its page."""

    def _play(self, heard: Heard) -> Play:
        return Play([b"<!doctype html>" + heard.path.encode()], kind="text/html")


async def test_a_web_page_in_place_of_a_list_of_models_is_no_engine() -> None:
    page = WebPage()
    async with running(page), serving(config(page.url)) as served:
        await served.until(lambda: only(served).condition.value == "down")
        assert only(served).reason == "/v1/models is a web page there; check the engine's url"
    async with running(page), serving(config(page.url, more=", health_path: /")) as served:
        await served.ready()


async def test_https_where_nobody_speaks_it_is_told_in_words() -> None:
    async with serving(config("http://127.0.0.1:9/v1")) as plain:
        url = plain.url.replace("http:", "https:")
        async with serving(config(f"{url}/v1")) as served:
            await served.until(lambda: only(served).condition.value == "down")
            told = only(served).reason
    assert told == "cannot connect: it speaks no TLS; is its URL http://?"


async def test_why_a_request_failed_stands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    engine = ScriptedEngine(answer=lambda _: Play([b"{}"], status=500, kind="application/json"))
    async with running(engine), serving(config(engine.url)) as served:
        await served.ready()
        assert (await served.http.post("/v1/chat/completions", json=ASK)).status_code == 502
        served.gateway.carer.suspect(only(served), "one\nFAKE \x1b[31m", unreachable=False)
        name = only(served).name
    failed = [words for level, words in said(caplog) if "failed a request" in words]
    assert failed == [
        f"{name} failed a request: The engine failed with status 500.",
        f"{name} failed a request: one FAKE  [31m",
    ]


async def test_a_server_that_comes_back_is_seen_by_itself() -> None:
    engine = ScriptedEngine(answer=as_vllm)
    async with running(engine):
        port = engine.port
    async with serving(config(f"http://127.0.0.1:{port}/v1", interval_s=0.05)) as served:
        await served.until(lambda: only(served).condition.value == "down")
        assert "cannot connect" in only(served).reason
        async with running(engine, port):
            await served.ready()
            answer = await served.http.post("/v1/chat/completions", json=ASK)
            assert answer.status_code == 200
        await served.until(lambda: only(served).condition.value == "down")


async def test_a_request_that_cannot_connect_makes_its_replica_down_at_once() -> None:
    one, two = ScriptedEngine(answer=as_vllm), ScriptedEngine(answer=as_vllm)
    async with running(two), AsyncExitStack() as stack:
        await stack.enter_async_context(running(one))
        async with serving(config(one.url, two.url)) as served:
            first, second = served.gateway.fleet
            await served.until(lambda: first.ready and second.ready)
            await stack.aclose()
            for _ in range(4):
                answer = await served.http.post("/v1/chat/completions", json=ASK)
                assert answer.status_code == 200
            assert first.condition.value == "down"
            assert (first.in_flight, second.in_flight) == (0, 0)


async def test_a_warning_is_shown_where_the_server_does_not_list_the_model() -> None:
    engine = ScriptedEngine(models=("another", "third"), answer=as_vllm)
    async with running(engine), serving(config(engine.url)) as served:
        await served.ready()
        assert "'toy'" in only(served).reason
        assert "another, third" in only(served).reason
        assert (await served.http.post("/v1/chat/completions", json=ASK)).status_code == 200


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return level and words of what was logged of engines."""
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "weighbridge.engine"]


async def test_each_change_of_a_server_is_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    engine = ScriptedEngine(models=("third", "an\nother"), answer=as_vllm)
    async with running(engine):
        port = engine.port
    text = config(f"http://127.0.0.1:{port}/v1", interval_s=0.01, more=", api_key: k-secret")
    async with serving(text) as served:
        for _ in range(2):
            await served.until(lambda: only(served).condition.value == "down")
            async with running(engine, port):
                await served.ready()
        await served.until(lambda: only(served).condition.value == "down")
    name = f"big/lab/127.0.0.1:{port}"
    lines = said(caplog)
    down = [line for line in lines if line[1].startswith(f"{name} is down: ")]
    assert len(down) == 3
    assert {level for level, _ in down} == {"WARNING"}
    assert lines.count(("INFO", f"{name} is up")) == 2
    listed = "it does not list 'toy' but an\\nother, third; check upstream_model"
    assert lines.count(("WARNING", f"{name}: {listed}")) == 1
    assert len(lines) == 6
    assert "k-secret" not in caplog.text


async def test_suspicion_brings_a_look_at_once_and_the_look_ends_it() -> None:
    engine = ScriptedEngine(answer=as_vllm)
    async with running(engine), serving(config(engine.url, interval_s=0.05)) as served:
        await served.ready()
        replica = only(served)
        served.gateway.carer.suspect(replica, "it failed", unreachable=False)
        assert replica.suspect
        assert replica.ready
        served.gateway.carer.suspect(replica, "no connection", unreachable=True)
        assert replica.condition.value == "down"
        await served.ready()
        assert not replica.suspect


async def test_a_client_that_leaves_the_queue_leaves_nothing_behind() -> None:
    """Nobody is up yet: the server's health answer is held back, and the request waits for it."""
    accepted, over = asyncio.Event(), asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await over.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with serving(config(f"http://127.0.0.1:{port}/v1")) as served:
        await accepted.wait()
        asking = asyncio.create_task(served.http.post("/v1/chat/completions", json=ASK))
        done, _ = await asyncio.wait([asking], timeout=0.2)
        assert not done
        asking.cancel()
        await asyncio.wait([asking])
        assert only(served).in_flight == 0
    over.set()
    server.close()


async def test_figures_of_a_server_that_is_shared_are_nobodys() -> None:
    text = b'vllm:num_requests_running{engine="0"} 2.0\n'
    engine = ScriptedEngine(models=("x", "y"), metrics_text=text)
    shared = f"""
engines: {{lab: {{kind: remote, url: "{engine.url}"}}}}
models: {{x: {{engine: lab}}, y: {{engine: lab}}}}
"""
    async with running(engine):
        shared = shared.replace(":0/v1", f":{engine.port}/v1")
        async with serving(shared) as served:
            await served.ready()
            assert "engine_requests_running{" not in (await served.http.get("/metrics")).text
        async with serving(shared.replace(", y: {engine: lab}", "")) as served:
            await served.ready()
            scraped = (await served.http.get("/metrics")).text
            assert "weighbridge_engine_requests_running{" in scraped


async def test_an_engine_that_is_slow_with_its_figures_does_not_hold_a_scrape() -> None:
    class Silent(ScriptedEngine):
        def metrics(self) -> bytes:
            raise ConnectionError

    engine = Silent()
    async with running(engine), serving(config(engine.url)) as served:
        await served.ready()
        answer = await served.http.get("/metrics")
        assert answer.status_code == 200
        assert "weighbridge_engine_up{" in answer.text


async def looked_in_vain(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Return when so many looks have found that no file is left to connect with."""
    looks = 0

    async def none_left(*_: object) -> None:
        nonlocal looks
        looks += 1
        raise NoFileLeft("Too many open files")

    async def have() -> bool:
        return looks >= times

    monkeypatch.setattr(UpstreamClient, "_take_idle", lambda *_: None)
    monkeypatch.setattr(UpstreamClient, "_connect", none_left)
    await until(have)


async def test_without_a_file_left_to_look_with_a_server_does_not_count_as_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = ScriptedEngine(answer=as_vllm)
    async with running(engine), serving(config(engine.url, interval_s=0.02)) as served:
        await served.ready()
        await looked_in_vain(monkeypatch, 5)
        assert only(served).ready


async def test_without_a_file_left_to_look_with_a_child_does_not_count_as_deaf(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("engines.process.replica._READY_LOOK_S", 0.01)
    monkeypatch.setattr("engines.process.replica._DEAF_AFTER", 2)
    async with staged(tmp_path, "a: load: start", go="a") as stage:
        await stage.served.ready("a")
        await looked_in_vain(monkeypatch, 6)
        assert only(stage.served).ready
        assert only(stage.served).restarts == 0


async def test_a_defect_in_looking_after_one_child_starts_that_one_again_and_ends_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.fleet.apart._PAUSE_S", 0.01)
    look, defects = Looker.look, ["of tests"]

    async def looked(looker: Looker, plan: ReplicaPlan) -> Look:
        if plan.model == "a" and defects:
            raise RuntimeError(defects.pop())
        return await look(looker, plan)

    async with staged(tmp_path, "a: load: start\nb: load: start", go="a b") as stage:
        await stage.served.ready("a", "b")
        monkeypatch.setattr(Looker, "look", looked)
        await stage.logged("load a", 2)
        await stage.served.ready("a")
        assert (await stage.ask("a")).status_code == 200
        assert (await stage.ask("b")).status_code == 200
        assert stage.log("load b") == ["load b"]
        assert "RuntimeError: of tests" in caplog.text
        assert [one.restarts for one in stage.served.gateway.fleet] == [1, 0]


async def test_a_defect_in_looking_at_a_server_makes_it_down_until_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.fleet.apart._PAUSE_S", 0.01)
    look, defects = Looker.look, ["of tests"]

    async def looked(looker: Looker, plan: ReplicaPlan) -> Look:
        if defects:
            raise RuntimeError(defects.pop())
        return await look(looker, plan)

    monkeypatch.setattr(Looker, "look", looked)
    engine = ScriptedEngine(answer=as_vllm)
    async with running(engine), serving(config(engine.url)) as served:
        await served.until(lambda: only(served).condition.value == "down")
        assert "its log says why" in only(served).reason
        await served.ready()


async def test_news_that_a_child_ends_count_for_the_life_that_they_are_of(tmp_path: Path) -> None:
    async with staged(tmp_path, "a: load: start", go="a") as stage:
        await stage.served.ready("a")
        replica, carer = only(stage.served), stage.served.gateway.carer
        carer.ending(replica, replica.lives - 1)  # a worker that stood still tells it late
        assert replica.ready
        carer.ending(replica, replica.lives)
        assert replica.condition.value == "backing_off"
