"""A whole gateway in the test's own process, on a real socket of loopback."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from gateway.app import build_app
from gateway.config.loading import parse_config
from gateway.known import gather_facts
from gateway.middleware import DoorRules
from gateway.parts import Gateway, Live, build_gateway
from gateway.wire import WireLimits, protocol

WAIT_S = 20


@dataclass(frozen=True)
class Served:
    """A running gateway: its parts as they began and as they are, its address, a client for it."""

    gateway: Gateway
    live: Live
    url: str
    http: httpx.AsyncClient

    async def until(self, true: Callable[[], bool], *, within_s: float = WAIT_S) -> None:
        """Wait until a condition on the fleet holds; conditions are looked at on each change."""
        async with asyncio.timeout(within_s):
            while not true():
                await self.gateway.fleet.changed()

    async def ready(self, *models: str, within_s: float = WAIT_S) -> None:
        """Wait until all of these models, or all that there are, are ready."""
        status = self.gateway.fleet.status
        await self.until(
            lambda: all(status()[name].available for name in models or status()), within_s=within_s
        )


@asynccontextmanager
async def serving(
    text: str, rules: DoorRules | None = None, limits: WireLimits | None = None
) -> AsyncIterator[Served]:
    """Serve the configuration `text` until the block ends."""
    config = parse_config(text, "test.yaml", {}, Path.cwd())
    listener = socket.create_server(("127.0.0.1", 0))
    # asyncio does it only for sockets that name their protocol; without it each answer takes 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        gateway = build_gateway(config, gather_facts(config), runtime_folder=Path(folder), cores=2)
        live = Live(gateway)
        app = build_app(live, rules or DoorRules())
        server = Server(
            uvicorn.Config(
                app,
                http=protocol(limits or WireLimits()),  # type: ignore[arg-type]  # any callable will do
                log_config=None,
                ws="none",
                lifespan="on",
                timeout_graceful_shutdown=5,
            )
        )
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await server.up.wait()
        try:
            async with httpx.AsyncClient(base_url=url, timeout=WAIT_S) as http:
                yield Served(gateway, live, url, http)
        finally:
            server.should_exit = True
            await running


class Server(uvicorn.Server):
    """uvicorn without signal handlers, which says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()
