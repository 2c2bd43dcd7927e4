"""The server of a gateway with workers: the parent's side, on a socket for them alone.

Owns: when workers start and end. Must not: know what they do.
"""

import socket
from pathlib import Path

from gateway.app import living
from gateway.cli.server import Server, server_config
from gateway.observe.processes import ProcessMetrics
from gateway.parts import Live
from gateway.reloading import Reloader
from gateway.workers.crew import Crew, Terms, command
from gateway.workers.inside import FromWorkers
from gateway.workers.office import Office
from gateway.workers.picture import House


class ParentServer(Server):
    """A server whose clients are its workers; theirs are the gateway's. `failed`: none starts."""

    crew: Crew
    listener: socket.socket
    failed = False

    def fail(self) -> None:
        """End: no worker can start."""
        self.failed = self.should_exit = True

    @property
    def running(self) -> int:
        """How many requests the workers have."""
        return self.crew.running

    async def open(self) -> None:
        """Start the workers, and wait until they are ready."""
        await self.crew.start(lambda: self.should_exit)

    async def drain(self) -> None:
        """Let the workers end; who comes now is refused by the system."""
        self.listener.close()
        await self.crew.end()


def parent_server(
    live: Live, reloader: Reloader, house: House, listener: socket.socket, announcement: str
) -> ParentServer:
    """Return the parent of as many workers as `house` says, who take from `listener`."""
    section = live.gateway.config.file.gateway
    app = FromWorkers(living(live, reloader.run))
    kill_children = live.gateway.carer.kill_children

    def at_once() -> None:
        kill_children()
        server.crew.hurry()

    config = server_config(app, section, uds=str(house.inside))
    server = ParentServer(config, announcement, at_once, reloader.ask)
    terms = Terms(house.workers, command(), listener, section.drain_timeout_s)
    server.listener = listener
    figures = ProcessMetrics(live.gateway.metrics.registry)
    server.crew = Crew(Office(live, house), terms, figures, server.fail)
    return server


def inside_of(folder: Path) -> Path:
    """Return the parent's socket in a private folder."""
    return folder / "inside"
