"""`weighbridge serve --workers`: several processes that are one gateway, down to each count."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.support.crews import (
    CHAT,
    Busy,
    ask,
    crew,
    far,
    figure,
    idle,
    race,
    statuses,
    up,
)
from tests.support.process import GatewayProcess, gateway_process, run_serve
from tests.support.scripted import Play, ScriptedEngine, running
from tests.support.waiting import until

REQUESTS = 2_000


async def test_no_race_of_workers_gets_beyond_a_limit_and_all_is_counted_once(
    tmp_path: Path,
) -> None:
    engine = Busy()
    models = "  m: {engine: lab, upstream_model: toy, max_concurrent: 4}\n"
    async with crew(tmp_path, engine, models) as gateway, gateway.client() as http:
        answers = await race(gateway, REQUESTS)
        assert statuses(answers) == {200: REQUESTS}
        assert engine.most == 4
        assert len(engine.heard) == REQUESTS
        await idle(http)
        assert await figure(http, "weighbridge_requests_total") == REQUESTS
        assert await figure(http, "weighbridge_requests_total", outcome="ok") == REQUESTS
        assert await figure(http, "weighbridge_prompt_tokens_total") == 30 * REQUESTS
        assert await figure(http, "weighbridge_completion_tokens_total") == 6 * REQUESTS
        assert await figure(http, "weighbridge_request_duration_seconds_count") == REQUESTS
        assert await figure(http, "weighbridge_outstanding_tokens") == 0
        ids = {answer.headers["x-request-id"] for answer in answers}
        assert len(ids) == REQUESTS


async def test_a_queue_has_as_many_places_as_it_says_whoever_asks(tmp_path: Path) -> None:
    engine = Busy()
    models = "  m: {engine: lab, upstream_model: toy, max_concurrent: 2, max_queued: 3}\n"
    async with crew(tmp_path, engine, models) as gateway, gateway.client() as http:
        found = statuses(await race(gateway, 600))
        assert engine.most == 2
        assert set(found) <= {200, 503}
        assert found[503] > 0  # 48 clients are more than five places
        assert found[200] == len(engine.heard)
        await idle(http)
        refused = await figure(http, "weighbridge_queue_refusals_total")
        assert (refused, refused + found[200]) == (found[503], 600)


async def test_a_model_on_demand_is_loaded_once_for_all_who_ask_at_once(tmp_path: Path) -> None:
    config = (
        "engines: {cpu: {kind: llamacpp}}\n"
        "models: {m: {engine: cpu, weights: 'demo:qwen', load: demand}}\n"
    )
    cache = {"WEIGHBRIDGE_CACHE": str(tmp_path / "cache")}
    options = ("--workers", "3")
    with gateway_process(tmp_path, *options, config=config, environ=cache) as gateway:
        clients = [gateway.client() for _ in range(12)]
        body = ask(max_tokens=4)
        answers = await asyncio.gather(*(http.post(CHAT, json=body) for http in clients))
        assert statuses(answers) == {200: 12}
        assert await figure(clients[0], "weighbridge_model_loads_total") == 1
        assert await figure(clients[0], "weighbridge_requests_total", outcome="ok") == 12
        for http in clients:
            await http.aclose()


async def test_more_connections_than_all_workers_may_have_are_refused(tmp_path: Path) -> None:
    most, models = 12, "  m: {engine: lab, upstream_model: toy}\n"
    before = f"gateway: {{max_connections: {most}}}"
    async with crew(tmp_path, Busy(), models, before=before) as gateway:

        async def as_many_as_may() -> bool:
            writers: list[asyncio.StreamWriter] = []
            taken = await asyncio.gather(*(_is_taken(gateway, writers) for _ in range(20)))
            for writer in writers:
                writer.close()
            assert sum(taken) <= most
            return sum(taken) == most  # fewer while an earlier connection is not over

        await until(as_many_as_may)


async def _is_taken(gateway: GatewayProcess, writers: list[asyncio.StreamWriter]) -> bool:
    """Ask on a connection that stays open; say whether there is the answer, or else why not."""
    url = httpx.URL(gateway.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writers.append(writer)
    writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    told = await reader.readline()
    assert b" 200 " in told or b" 503 " in told
    return b" 200 " in told


async def test_what_is_asked_seldom_is_answered_with_the_state_of_all(tmp_path: Path) -> None:
    engine = ScriptedEngine(answer=lambda _: Play([asyncio.Event()]))
    models = "  m: {engine: lab, upstream_model: toy}\n"
    key = {"WEIGHBRIDGE_API_KEY": "secret"}
    async with running(engine):
        options = ("--workers", "2")
        config = far(engine, models)
        with gateway_process(tmp_path, *options, config=config, environ=key) as gateway:
            async with gateway.client(headers={"authorization": "Bearer secret"}) as http:
                await up(http)
                asked = [asyncio.create_task(http.post(CHAT, json=ask())) for _ in range(5)]

                async def running_everywhere() -> bool:
                    state = (await http.get("/ready")).json()["models"]["m"]
                    return bool(state["replicas"][0]["in_flight"] == 5)

                await until(running_everywhere)
                route = await http.post("/v1/route", json=ask())
                assert route.json()["model"] == "m"
                assert (await http.get("/v1/models/m")).json()["state"] == "ready"
                assert (await http.get("/v1/nothing")).status_code == 404
                head = await http.head("/health")
                assert (head.status_code, head.content) == (200, b"")
                for task in asked:
                    task.cancel()
                await asyncio.wait(asked)
                await idle(http)
            async with gateway.client() as stranger:
                assert "models" not in (await stranger.get("/ready")).json()
                assert (await stranger.get("/v1/models")).status_code == 401


@pytest.mark.parametrize("number", ["0", "257", "many"])
def test_a_number_of_workers_that_cannot_be_is_refused(number: str, tmp_path: Path) -> None:
    ended = run_serve(tmp_path, "--workers", number)
    assert ended.returncode == 2
    assert "--workers" in ended.stderr
