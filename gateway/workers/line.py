"""The line between a worker and the parent: messages on a pair of sockets.

Owns: where a message begins and ends, in order, none lost while both live.
Must not: know what they mean.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from gateway.workers.words import Word

_HEAD_BYTES = 4
# A worker that reads nothing any more: what is in force and how all are doing waits for it.
MOST_UNREAD_BYTES = 64 * 1024 * 1024

Heard = TypeVar("Heard")


class Line(asyncio.Protocol, Generic[Heard]):
    """One end. `hear` gets each message, `lost` is called once when the other end is gone."""

    def __init__(self, kind: Any, hear: Callable[[Heard], None], lost: Callable[[], None]) -> None:
        """Take what is heard here: messages of this `kind`."""
        self._decoder: msgspec.msgpack.Decoder[Heard] = msgspec.msgpack.Decoder(kind)
        self._encoder = msgspec.msgpack.Encoder()
        self._hear = hear
        self._lost = lost
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self.full = False
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's is a Transport by shape

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol names it
        """Tell that the other end is gone."""
        self._transport = None
        self.gone.set()
        self._lost()

    def pause_writing(self) -> None:
        """Note that the other end does not keep up."""
        self.full = True

    def resume_writing(self) -> None:
        """Note that it does again."""
        self.full = False

    def data_received(self, data: bytes) -> None:
        """Take messages, the last of which may not be whole."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= _HEAD_BYTES:
            begin = at + _HEAD_BYTES
            after = begin + int.from_bytes(data[at:begin], "big")
            if after > end:
                break
            self._hear(self._decoder.decode(data[begin:after]))
            at = after
        self._rest = data[at:]

    def say(self, word: Word) -> None:
        """Send a message; to nobody where the other end is gone."""
        transport = self._transport
        if transport is None:
            return
        transport.write(framed(self._encoder.encode(word)))
        if self.full and transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            transport.abort()

    async def close(self) -> None:
        """Send what has been said, and hang up."""
        if self._transport is not None:
            self._transport.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self.gone.wait()


def framed(message: bytes) -> bytes:
    """Return a message as it goes over the line."""
    return len(message).to_bytes(_HEAD_BYTES, "big") + message


def read_one(end: socket.socket, kind: type[Heard]) -> Heard:
    """Wait for the next message, without a loop.

    Raises:
        EOFError: the other end is gone.
    """
    size = int.from_bytes(_exactly(end, _HEAD_BYTES), "big")
    return msgspec.msgpack.decode(_exactly(end, size), type=kind)


def _exactly(end: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = end.recv(min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
