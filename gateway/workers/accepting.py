"""Taking clients' connections from a listener that several processes have.

Each takes one connection, and then does whatever else it has to do before the next one: so a busy
worker takes fewer. libuv's own servers take all that wait, and the first to wake would have them.

Owns: this. Must not: know what is said on a connection.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

_log = logging.getLogger("weighbridge.workers")
# Where no descriptors are left, connections wait in the listener for one that ends.
_REST_S = 0.5
_NONE_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Accepting:
    """Accepts from its making until `close`; on the running loop."""

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()
        self._open = True
        self._begin()

    def close(self) -> None:
        """Accept nobody any more; the listener stays open for others."""
        self._open = False
        self._loop.remove_reader(self._listener)

    def _begin(self) -> None:
        if self._open:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was quicker, or the client has gone
        except OSError as error:
            if error.errno not in _NONE_LEFT:
                raise
            _log.warning("cannot accept a connection: %s", error.strerror)
            self._loop.remove_reader(self._listener)
            self._loop.call_later(_REST_S, self._begin)
            return
        connection.setblocking(False)
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._take(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()
