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

from gateway.cli.terminal import has_terminal, watched_terminal
from gateway.config.words import counted

# After a second signal: for the errors that end what still runs.
_LAST_WORDS_S = 1.0


class Server(uvicorn.Server):
    """uvicorn's server, which says when it listens and what it waits for.

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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note that the server is to end; called by uvicorn's signal handler."""
        if self.should_exit:
            self.force_exit = True
            self._at_once()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running requests end, and say that they are waited for."""
        running = len(self.server_state.tasks)
        if running:
            click.echo(
                f"Waiting for {counted(running, 'running request')}, at most "
                f"{self.config.timeout_graceful_shutdown} s. Ctrl-C again ends at once.",
                err=True,
            )
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
            _announce(self._announcement)


def _announce(text: str) -> None:
    """Print to whoever still reads: `weighbridge serve | head` must not end the gateway."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
