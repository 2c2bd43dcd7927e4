"""A worker of `weighbridge serve --workers`: started by the parent, never by people.

Owns: this process. Must not: outlive its parent.
"""

import asyncio
import gc
import signal
import socket
import sys

import uvicorn

from gateway.cli.logs import set_up_logs
from gateway.cli.server import EndingServer, server_config
from gateway.workers import words
from gateway.workers.accepting import Accepting
from gateway.workers.census import Place
from gateway.workers.line import read_one
from gateway.workers.picture import settings_in
from gateway.workers.worker import Worker

# So many new objects are looked through at once; Python's 700 are those of five requests.
GARBAGE = 10_000


class WorkerServer(EndingServer):
    """A server that takes connections from a listener which it shares."""

    def __init__(
        self, config: uvicorn.Config, worker: Worker, listener: socket.socket, line: socket.socket
    ) -> None:
        super().__init__(config)
        self._worker = worker
        self._listener = listener
        self._line = line
        self._accepting: Accepting | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's name
        """Begin to take connections, and tell the parent."""
        config, self.servers = self.config, []
        await self._worker.begin(self._line)

        def connection() -> asyncio.BaseProtocol:
            return config.http_protocol_class(  # type: ignore[call-arg]  # ours, see `server_config`
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        self._accepting = Accepting(self._listener, connection)
        self.started = True
        self._worker.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no connections any more, let running requests end, and say so."""
        if self._accepting is not None:
            self._accepting.close()
        self._listener.close()
        await super().shutdown(sockets)
        await self._worker.end()


def main() -> None:
    """Serve until told to end; the arguments are the number and the inherited descriptors."""
    number, listener, line, places = map(int, sys.argv[1:])
    end = socket.socket(fileno=line)
    try:
        first = read_one(end, words.File)
    except EOFError:
        return
    settings = settings_in(first)
    house = settings.house
    set_up_logs(house.log_level, house.log_form, access_log=house.access_log)
    worker = Worker(settings)
    end.setblocking(False)
    taken = socket.socket(fileno=listener)
    config = server_config(worker.app(), settings.config.file.gateway, census=Place(places, number))
    # uvicorn raises the signal again when it has ended: a clean end is no failure.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    WorkerServer(config, worker, taken, end).run()


if __name__ == "__main__":
    main()
