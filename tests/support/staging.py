"""A gateway whose models load when a test says so."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from gateway.blueprint import blueprint_of
from gateway.config.schema import ModelSection
from gateway.fleet.difference import Difference
from gateway.parts import changed_gateway
from tests.support.fleets import figure
from tests.support.serving import Served, serving
from tests.support.waiting import until

SERVER = Path(__file__).parent / "staged_server.py"


@dataclass(frozen=True)
class Stage:
    """A running gateway and the folder by which its models are told what to do."""

    served: Served
    folder: Path

    def reload(self, **changes: Any) -> Difference:
        """Put a file in force in which these sections are others; say what becomes of replicas."""
        live = self.served.live
        config = live.gateway.config
        paths = (one.plan.address.socket_path for one in live.gateway.fleet)
        (sockets,) = {path.parent for path in paths if path is not None}
        blueprint = blueprint_of(
            replace(config, file=config.file.model_copy(update=changes)),
            live.gateway.facts,
            runtime_folder=sockets,
            cores=2,
            generation=1,
        )
        gateway, change = changed_gateway(live.gateway, blueprint)
        live.put(gateway)
        return change

    def model(self, name: str, **changes: Any) -> dict[str, ModelSection]:
        """Return the file's models, with other keys for one."""
        models = dict(self.served.live.gateway.config.file.models)
        return models | {name: models[name].model_copy(update=changes)}

    def tell(self, model: str, what: str, words: str = "") -> None:
        (self.folder / f"{model}.{what}").write_text(words, encoding="utf-8")

    def untell(self, model: str, what: str) -> None:
        (self.folder / f"{model}.{what}").unlink()

    def log(self, begin: str = "") -> list[str]:
        """Return the lines of what the models have done."""
        path = self.folder / "log"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(begin)]

    def state(self, model: str) -> str:
        told = self.served.gateway.resident.reception.state_of(model)
        return told[0] if told is not None else ""

    async def reaches(self, model: str, state: str) -> None:
        await self.served.until(lambda: self.state(model) == state)

    async def logged(self, line: str, times: int = 1) -> None:
        async def is_there() -> bool:
            return self.log().count(line) >= times

        await until(is_there)

    def waiting(self) -> float:
        """Return how many requests wait for a load or a place."""
        return figure(self.served.gateway.metrics, "weighbridge_requests_waiting")

    async def waits(self, count: int) -> None:
        """Return when so many requests wait."""

        async def do() -> bool:
            return self.waiting() == count

        await until(do)

    async def holds(self) -> None:
        """Return when a model is held."""

        async def is_held() -> bool:
            return bool(self.served.gateway.fleet.held)

        await until(is_held)

    async def quiet(self) -> None:
        """Return when nobody waits."""

        async def nobody() -> bool:
            return not self.waiting() and not self.served.gateway.fleet.held

        await until(nobody)

    def ask(self, model: str, text: str = "Hi", **more: Any) -> "asyncio.Task[httpx.Response]":
        body = {"model": model, "messages": [{"role": "user", "content": text}]} | more
        return asyncio.create_task(self.served.http.post("/v1/chat/completions", json=body))


@asynccontextmanager
async def staged(
    folder: Path,
    models: str,
    residency: str = "{}",
    more: str = "",
    *,
    go: str = "",
    engine: str = "",
) -> AsyncIterator[Stage]:
    """Serve models of the engine `e`, which has `engine` keys too; those in `go` load at once."""
    toy = folder / "toy"
    toy.mkdir(exist_ok=True)
    (toy / "config.json").write_text("{}", encoding="utf-8")
    for name in go.split():
        (folder / f"{name}.go").touch()
    command = json.dumps([sys.executable, "-I", str(SERVER), str(folder)])
    lines = "".join(
        f"  {name}: {{engine: e, weights: '{toy}', {keys}}}\n"
        for name, _, keys in (line.strip().partition(": ") for line in models.splitlines() if line)
        if name
    )
    text = (
        f"engines: {{e: {{kind: vllm, command: {command}, drain_timeout_s: 1, "
        f"tool_parser: none, reasoning_parser: none{engine}}}}}\n"
        f"residency: {residency}\nmodels:\n{lines}{more}\n"
    )
    async with serving(text) as served:
        yield Stage(served, folder)
