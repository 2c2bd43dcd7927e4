"""A gateway of several workers before an engine, and what both count."""

import asyncio
import itertools
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.answers import chat_answer
from tests.support.process import GatewayProcess, children, gateway_process
from tests.support.scripted import Heard, Play, ScriptedEngine, json_play, running
from tests.support.waiting import until

CHAT = "/v1/chat/completions"
CLIENTS = 48
ANSWER_S = 0.002  # how long the engine below takes


class Busy(ScriptedEngine):
    """Takes a moment for each answer, and counts how many it has at once."""

    def __init__(self) -> None:
        super().__init__(answer=self._take)
        self.most = 0

    def _take(self, _: Heard) -> Play:
        self.most = max(self.most, self.running + 1)
        gate = asyncio.Event()
        asyncio.get_running_loop().call_later(ANSWER_S, gate.set)
        return Play([gate, *json_play(chat_answer()).pieces])


def ask(model: str = "m", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}]} | more


def far(engine: ScriptedEngine, models: str, before: str = "") -> str:
    lab = f"{{kind: remote, url: '{engine.url}', health_interval_s: 1}}"
    return f"{before}\nengines: {{lab: {lab}}}\nmodels:\n{models}"


def gateway_workers(gateway: GatewayProcess) -> dict[int, int]:
    """Return the process ids of its workers, by their numbers."""
    found = {pid: re.search(r"cli\.worker (\d+)", args) for pid, args in _children(gateway)}
    return {int(one[1]): pid for pid, one in found.items() if one}


def _children(gateway: GatewayProcess) -> list[tuple[int, str]]:
    return list(children(gateway.pid).items())


def alive(pid: int) -> bool:
    """Say whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def figure(http: httpx.AsyncClient, name: str, **labels: str) -> float:
    """Return the sum of all samples of a name that have these labels."""
    text = (await http.get("/metrics")).text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    wanted = set(labels.items())
    return sum(s.value for s in samples if s.name == name and wanted <= set(s.labels.items()))


async def idle(http: httpx.AsyncClient) -> None:
    """Wait until no request is in flight and none waits."""

    async def is_idle() -> bool:
        in_flight = await figure(http, "weighbridge_requests_in_flight")
        return in_flight == 0 == await figure(http, "weighbridge_requests_waiting")

    await until(is_idle)


async def up(http: httpx.AsyncClient, model: str = "m") -> None:
    """Wait until a model is ready."""

    async def is_up() -> bool:
        models = (await http.get("/ready")).json()["models"]
        return model in models and models[model]["state"] == "ready"

    await until(is_up)


@asynccontextmanager
async def crew(
    folder: Path,
    engine: ScriptedEngine,
    models: str,
    *options: str,
    workers: int = 3,
    before: str = "",
) -> AsyncIterator[GatewayProcess]:
    """Run a gateway of some workers before an engine, both until the block ends."""
    async with running(engine):
        options = ("--workers", str(workers), "--no-access-log", *options)
        with gateway_process(folder, *options, config=far(engine, models, before)) as gateway:
            async with gateway.client() as http:
                for model in re.findall(r"^  (\w+):", models, re.MULTILINE):
                    await up(http, model)
            yield gateway


async def race(gateway: GatewayProcess, requests: int, **body: Any) -> list[httpx.Response]:
    """Send requests from many clients, each on a connection of its own; return the answers."""
    numbers, answers = iter(range(requests)), []

    async def client() -> None:
        async with gateway.client() as http:
            for _ in numbers:
                answers.append(await http.post(CHAT, json=ask(**body)))  # noqa: PERF401 - one list for all

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(client())
    return answers


def statuses(answers: Sequence[httpx.Response]) -> dict[int, int]:
    found = sorted(answer.status_code for answer in answers)
    return {status: len(list(same)) for status, same in itertools.groupby(found)}
