"""Where a worker listens, and how it stops.

Owns: its socket or port, who may come in there, the drain.
Must not: load anything, or know what is answered.
"""

import argparse
import asyncio
import ipaddress
import math
import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from engines.door import LOOPBACK_NAMES, PageDoor, is_address
from engines.llamacpp.work import Worker

# After the drain time: for the errors that end what still runs.
_LAST_WORDS_S = 1


class CannotListen(Exception):
    """The address cannot be had; the message says which and why."""


class Server(uvicorn.Server):
    """uvicorn's server, which tells the worker when it stops taking requests."""

    def __init__(self, config: uvicorn.Config, worker: Worker, drain_timeout_s: float) -> None:
        super().__init__(config)
        self._worker = worker
        self._drain_timeout_s = drain_timeout_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End, at the second signal at once."""
        # uvicorn ends at once for a second Ctrl-C only, and supervisors send SIGTERM.
        self.force_exit = self.should_exit
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what runs end, for as long as it may take."""
        self._worker.draining = True
        cut = asyncio.create_task(self._cut())
        try:
            await super().shutdown(sockets)
        finally:
            cut.cancel()
            self._hang_up()

    async def _cut(self) -> None:
        """End what is read or runs beyond the drain time with an error that its client can read."""
        await asyncio.sleep(self._drain_timeout_s)
        self._worker.beginnings.end()
        await asyncio.to_thread(self._worker.batcher.close)
        await asyncio.sleep(_LAST_WORDS_S / 2)
        self._hang_up()

    def _hang_up(self) -> None:
        """Leave clients that do not read: uvicorn would log their tasks' end as our defect."""
        for line in list(self.server_state.connections):
            if isinstance(line, HttpToolsProtocol) and line.flow.write_paused:
                line.transport.abort()


def server_of(asked: argparse.Namespace, worker: Worker, app: ASGIApp) -> Server:
    """Return what serves a worker's application as its options say."""
    return Server(
        uvicorn.Config(
            behind_the_door(asked, app),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=3_600,  # the gateway keeps its connections
            timeout_graceful_shutdown=math.ceil(asked.drain_timeout_s) + _LAST_WORDS_S,
        ),
        worker,
        asked.drain_timeout_s,
    )


def behind_the_door(asked: argparse.Namespace, app: ASGIApp) -> ASGIApp:
    """Return what TCP is served: web pages reach every port of their machine, and no socket."""
    if asked.socket is not None:
        return app
    hosts = frozenset(name.lower() for name in (asked.host, *asked.allowed_host))
    return PageDoor(app, hosts=hosts, any_address=not is_loopback(asked.host))


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    if host in LOOPBACK_NAMES:
        return True
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def listen(asked: argparse.Namespace) -> socket.socket:
    """Return a socket that listens where the options say.

    Raises:
        CannotListen: it cannot be had.
    """
    try:
        if asked.socket is not None:
            # Whoever listened here is dead, or the gateway would not have started us.
            asked.socket.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(asked.socket))
        else:
            listener = socket.create_server((asked.host, asked.port))
            # asyncio does it only for sockets that name their protocol, which this one does not;
            # without it an answer waits 40 ms for the client to confirm its head.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.listen(1_024)
    except OSError as error:
        where = asked.socket.name if asked.socket is not None else f"{asked.host}:{asked.port}"
        raise CannotListen(f"cannot listen on {where}: {error.strerror}") from None
    return listener
