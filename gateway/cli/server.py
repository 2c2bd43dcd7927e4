"""uvicorn's server as `weighbridge serve` runs it: what signals do, and what it says of itself.

Owns: signals. Must not: know what is served.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import click
import uvicorn
from starlette.types import ASGIApp

from engines.platform import open_files
from engines.words import counted
from gateway.cli.terminal import has_terminal, watched_terminal
from gateway.config.schema import GatewaySection
from gateway.wire import Census, WireLimits, protocol

# After a second signal: for the errors that end what still runs.
_LAST_WORDS_S = 1.0
_FILES_BESIDE = 256


def files_wanted(connections: int) -> int:
    """Return how many files a gateway has open with so many clients, each of whom it asks for."""
    return 2 * connections + _FILES_BESIDE


def connections_within(files: int) -> int:
    """Return how many clients there may be with so many files, some of which are for the rest."""
    return max(1, (files - min(_FILES_BESIDE, files // 2)) // 2)


def server_config(
    app: ASGIApp, section: GatewaySection, *, census: Census | None = None, uds: str | None = None
) -> uvicorn.Config:
    """Return what all servers of ours have in common; one on `uds` is for our own processes."""
    connections = section.max_connections
    if census is None:  # who counts for several processes cannot tell how the rest share them
        connections = min(connections, connections_within(open_files()))
    limits = WireLimits(
        head_s=section.head_timeout_s,
        body_s=section.body_timeout_s,
        unread_s=section.unread_timeout_s,
        connections=connections if uds is None else sys.maxsize,
        census=census,
    )
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol(limits),  # type: ignore[arg-type]  # any callable will do
        ws="none",
        lifespan="on" if census is None else "off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        uds=uds,
        backlog=2048,
        # Longer than clients keep idle connections, so that they close first and never race us.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(section.drain_timeout_s)),
    )


class EndingServer(uvicorn.Server):
    """uvicorn's server, which a second signal ends at once."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note that the server is to end; called by uvicorn's signal handler."""
        if self.should_exit:
            self.force_exit = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running requests end."""
        await super().shutdown(sockets)
        if self.force_exit:
            await self._cut_off()

    async def _cut_off(self) -> None:
        """End what uvicorn leaves to the loop's end, whose tracebacks would be our last words."""
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            # A client that does not read may hold its task up.
            await asyncio.wait(tasks, timeout=_LAST_WORDS_S)
        await self.lifespan.shutdown()


class Server(EndingServer):
    """A server which says when it listens and what it waits for.

    | signal | then |
    |---|---|
    | first, SIGINT or SIGTERM | requests have the drain time, then the engines have theirs |
    | second | `at_once` is called, and whatever still runs is cut off |
    | SIGHUP | `reload` is called; where our terminal has gone, it is as SIGTERM |
    """

    def __init__(
        self,
        config: uvicorn.Config,
        announcement: str,
        at_once: Callable[[], None],
        reload: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._announcement = announcement
        self._at_once = at_once
        self._reload = reload
        self._terminal = watched_terminal()

    @property
    def running(self) -> int:
        """How many requests run."""
        return len(self.server_state.tasks)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note that the server is to end; called by uvicorn's signal handler."""
        if self.should_exit:
            self._at_once()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running requests end, and say that they are waited for."""
        running = self.running
        if running:
            _announce(
                f"Waiting for {counted(running, 'running request')}, at most "
                f"{self.config.timeout_graceful_shutdown} s. Ctrl-C again ends at once.",
                err=True,
            )
        await self.drain()
        await super().shutdown(sockets)

    async def drain(self) -> None:
        """Wait for requests that other processes have."""

    async def open(self) -> None:
        """Have other processes begin, before it is said that we listen."""

    def _hang_up(self) -> None:
        if self._terminal and not has_terminal():
            self.handle_exit(signal.SIGTERM, None)
        else:
            self._reload()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say where."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)
        await super().startup(sockets)
        if self.started:
            await self.open()
            if not self.should_exit:
                _announce(self._announcement)


def _announce(text: str, *, err: bool = False) -> None:
    """Print to whoever still reads: neither `serve | head` nor a full disk may end the gateway."""
    try:
        click.echo(text, err=err)
    except OSError:
        stream = sys.stderr if err else sys.stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
