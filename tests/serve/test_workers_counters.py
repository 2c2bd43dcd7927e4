"""`weighbridge serve --workers`: one scrape of all, whose counters never go back."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.crews import CHAT, Busy, ask, crew, figure, gateway_workers, idle
from tests.support.waiting import until


async def test_no_counter_goes_back_while_workers_are_killed(tmp_path: Path) -> None:
    models, enough = "  m: {engine: lab, upstream_model: toy}\n", asyncio.Event()
    before: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    async with crew(tmp_path, Busy(), models) as gateway, gateway.client() as http:

        async def ask_on() -> None:
            async with gateway.client() as own:
                while not enough.is_set():
                    with suppress(httpx.TransportError):  # its worker was killed
                        await own.post(CHAT, json=ask())

        async def replaced() -> bool:
            try:
                now = await counters(http)
            except httpx.TransportError:
                return False
            assert not {name for name, value in before.items() if now.get(name, 0) < value}
            before.update(now)
            return gateway_workers(gateway).get(number, pid) != pid

        asking = [asyncio.create_task(ask_on()) for _ in range(6)]
        for number in range(3):
            pid = gateway_workers(gateway)[number]
            os.kill(pid, signal.SIGKILL)
            await until(replaced)
        enough.set()
        await asyncio.gather(*asking)
        await idle(http)
        assert await replaced()
        assert await figure(http, "weighbridge_gateway_worker_restarts_total") == 3


async def counters(
    http: httpx.AsyncClient,
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample of a scrape that may only grow."""
    text = (await http.get("/metrics")).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        if family.type in ("counter", "histogram")
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
