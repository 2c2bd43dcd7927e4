"""`weighbridge serve --workers`: a worker dies, the file changes, signals come, the parent dies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import httpx

from tests.support.answers import DONE, FIRST, chat_answer, chunk, usage_chunk
from tests.support.crews import (
    CHAT,
    Busy,
    alive,
    ask,
    crew,
    far,
    figure,
    gateway_workers,
    idle,
    race,
    statuses,
)
from tests.support.process import GatewayProcess
from tests.support.scripted import ScriptedEngine, events_play, json_play
from tests.support.streams import data_of
from tests.support.waiting import until

UnderWay: TypeAlias = tuple[
    GatewayProcess, httpx.AsyncClient, asyncio.Event, list[asyncio.Task[bytes]]
]


@asynccontextmanager
async def under_way(tmp_path: Path, streams: int) -> AsyncIterator[UnderWay]:
    """Serve three workers with so many streams, all a model takes; the event lets them end."""
    gate, begun = asyncio.Event(), asyncio.Semaphore(0)
    told = (FIRST, chunk("It "), gate, chunk(finish="stop"), usage_chunk(), DONE)
    engine = ScriptedEngine(answer=lambda _: events_play(*told))
    models = f"  m: {{engine: lab, upstream_model: toy, max_concurrent: {streams}}}\n"
    async with crew(tmp_path, engine, models) as gateway, gateway.client() as http:

        async def stream() -> bytes:
            async with gateway.client() as own:
                body = ask(stream=True)
                async with own.stream("POST", CHAT, json=body, timeout=60) as answer:
                    begun.release()
                    return await answer.aread()

        asked = [asyncio.create_task(stream()) for _ in range(streams)]
        for _ in asked:
            await begun.acquire()
        yield gateway, http, gate, asked


async def test_a_worker_that_is_killed_gives_back_what_it_held_and_is_replaced(
    tmp_path: Path,
) -> None:
    streams = 9
    async with under_way(tmp_path, streams) as (gateway, http, gate, asked):
        before = gateway_workers(gateway)
        broken: list[asyncio.Task[bytes]] = []
        killed = 0
        while not broken:  # until it is a worker that has one of them
            os.kill(before[killed], signal.SIGKILL)
            await until_replaced(http, gateway, before[killed], killed)
            killed += 1
            broken = [task for task in asked if task.done()]

        in_flight = streams - len(broken)
        await until_figure(http, in_flight, "weighbridge_requests_in_flight")
        cancelled = {"outcome": "cancelled"}
        assert await figure(http, "weighbridge_requests_total", **cancelled) == len(broken)
        gate.set()
        await asyncio.wait(asked)
        for task in asked:
            if task in broken:
                assert isinstance(task.exception(), httpx.RemoteProtocolError)
            else:
                assert data_of(task.result().decode())[-1] == b"[DONE]"
        await idle(http)
        assert await figure(http, "weighbridge_requests_total", outcome="ok") == in_flight
        assert await figure(http, "weighbridge_requests_total", **cancelled) == len(broken)
        assert await figure(http, "weighbridge_gateway_worker_restarts_total") == killed
        assert await figure(http, "weighbridge_gateway_workers") == 3
        # All places are free again.
        last = await race(gateway, streams, stream=True)
        assert statuses(last) == {200: streams}


async def until_figure(http: httpx.AsyncClient, wanted: float, name: str) -> None:
    async def is_so() -> bool:
        return await figure(http, name) == wanted

    await until(is_so)


async def until_replaced(
    http: httpx.AsyncClient, gateway: GatewayProcess, pid: int, number: int
) -> None:
    async def replaced() -> bool:
        try:
            if await figure(http, "weighbridge_gateway_workers") < 3:
                return False
        except httpx.TransportError:  # that connection was the worker's
            return False
        return gateway_workers(gateway).get(number, pid) != pid

    await until(replaced)


async def test_a_changed_file_is_in_force_in_all_workers_and_no_request_sees_half_of_it(
    tmp_path: Path,
) -> None:
    engine = ScriptedEngine(answer=lambda _: json_play(chat_answer()))
    before = "  old: {engine: lab, upstream_model: toy}\n"
    after = "  new: {engine: lab, upstream_model: toy}\n"
    async with crew(tmp_path, engine, before, "--no-watch") as gateway:
        stop = asyncio.Event()
        seen: list[tuple[str, int, str | None]] = []

        async def client() -> None:
            while not stop.is_set():
                async with gateway.client() as http:
                    for model in ("old", "new"):
                        answer = await http.post(CHAT, json=ask(model))
                        seen.append((model, answer.status_code, answer.json().get("model")))

        async def reached(text: str, model: str, status: int, times: int) -> None:
            (tmp_path / "routing.yaml").write_text(far(engine, text))
            os.kill(gateway.pid, signal.SIGHUP)

            async def in_force() -> bool:
                return gateway.errors().count("is in force") == times

            await until(in_force)
            # So many connections at once that every worker takes some.
            clients = [gateway.client() for _ in range(24)]
            answers = await asyncio.gather(*(http.post(CHAT, json=ask(model)) for http in clients))
            for http in clients:
                await http.aclose()
            assert statuses(answers) == {status: 24}

        clients = [asyncio.create_task(client()) for _ in range(3)]
        await reached(before + after, "new", 200, times=1)
        await reached(after, "old", 404, times=2)
        (tmp_path / "routing.yaml").write_text("models: {broken")
        os.kill(gateway.pid, signal.SIGHUP)

        async def refused() -> bool:
            return "is rejected; the previous file stays in force" in gateway.errors()

        await until(refused)
        stop.set()
        await asyncio.gather(*clients)
        # One that had begun, and had no replica yet when its model went, is told so.
        assert {status for model, status, _ in seen if model == "old"} <= {200, 404, 503}
        assert {status for model, status, _ in seen if model == "new"} <= {200, 404}
        assert all(name == model for model, status, name in seen if status == 200)
        assert "Traceback" not in gateway.errors()


async def test_a_signal_lets_the_streams_of_all_workers_end(tmp_path: Path) -> None:
    gate = asyncio.Event()
    told = (FIRST, chunk("It "), gate, chunk(finish="stop"), usage_chunk(), DONE)
    engine = ScriptedEngine(answer=lambda _: events_play(*told))
    models = "  m: {engine: lab, upstream_model: toy}\n"
    async with crew(tmp_path, engine, models) as gateway:
        workers = gateway_workers(gateway)
        begun = asyncio.Semaphore(0)

        async def stream() -> bytes:
            async with (
                gateway.client() as http,
                http.stream("POST", CHAT, json=ask(stream=True)) as answer,
            ):
                begun.release()
                return await answer.aread()

        asked = [asyncio.create_task(stream()) for _ in range(6)]
        for _ in asked:
            await begun.acquire()
        gateway.signal(signal.SIGTERM)

        async def waits() -> bool:
            return "Waiting for 6 running requests" in gateway.errors()

        await until(waits)
        gate.set()
        for whole in await asyncio.gather(*asked):
            assert data_of(whole.decode())[-1] == b"[DONE]"
        assert await asyncio.to_thread(gateway.wait) == 0
        assert not [pid for pid in workers.values() if alive(pid)]
        assert "Traceback" not in gateway.errors()


async def test_a_second_signal_cuts_the_streams_of_all_workers_off(tmp_path: Path) -> None:
    engine = ScriptedEngine(answer=lambda _: events_play(FIRST, chunk("It "), asyncio.Event()))
    models = "  m: {engine: lab, upstream_model: toy}\n"
    async with crew(tmp_path, engine, models, before="gateway: {drain_timeout_s: 600}") as gateway:
        async with (
            gateway.client() as http,
            http.stream("POST", CHAT, json=ask(stream=True)) as answer,
        ):
            pieces = answer.aiter_text()
            heard = await anext(pieces)
            while "It " not in heard:  # its head may come alone
                heard += await anext(pieces)
            gateway.signal(signal.SIGTERM)

            async def waits() -> bool:
                return "Waiting for 1 running request" in gateway.errors()

            await until(waits)
            gateway.signal(signal.SIGTERM)
            rest = "".join([piece async for piece in pieces])
        assert "gateway_stopping" in rest
        await asyncio.to_thread(gateway.wait)
        assert "Traceback" not in gateway.errors()


async def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    models = "  m: {engine: lab, upstream_model: toy}\n"
    async with crew(tmp_path, Busy(), models) as gateway:
        workers = gateway_workers(gateway)
        assert len(workers) == 3
        gateway.process.kill()

        async def gone() -> bool:
            return not any(alive(pid) for pid in workers.values())

        await until(gone)


async def test_a_worker_that_hangs_is_killed_and_replaced_and_gives_back_what_it_held(
    tmp_path: Path,
) -> None:
    streams = 9
    async with under_way(tmp_path, streams) as (gateway, http, gate, asked):
        before = gateway_workers(gateway)
        os.kill(before[1], signal.SIGSTOP)

        async def gone() -> bool:
            return not alive(before[1])

        await until(gone)
        gate.set()
        await asyncio.wait(asked)
        broken = [task for task in asked if task.exception() is not None]
        await until_replaced(http, gateway, before[1], 1)
        await idle(http)
        cancelled = {"outcome": "cancelled"}
        assert await figure(http, "weighbridge_requests_total", **cancelled) == len(broken)
        whole = streams - len(broken)
        assert await figure(http, "weighbridge_requests_total", outcome="ok") == whole
        assert await figure(http, "weighbridge_gateway_worker_restarts_total") == 1
        assert {n: pid for n, pid in gateway_workers(gateway).items() if n != 1} == {
            n: pid for n, pid in before.items() if n != 1
        }
        # All places are free again.
        assert statuses(await race(gateway, streams, stream=True)) == {200: streams}
