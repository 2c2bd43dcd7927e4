"""A client of loopback that is as rude as clients are: it hangs up, dawdles, sends half a body.

Owns: one connection for one request, and what was heard on it.
Must not: know what an answer should be.
"""

import asyncio
import json
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.chance_asks import Ask
from engines.protocol.events import DONE, EventSplitter, event_data

_LINGERS_S = 0.03
_LIMIT = 64 << 20


@dataclass(frozen=True)
class Manner:
    """How a client behaves. It hangs up `gone_s` after its request or behind some events.

    `half`: only so much of the body is sent; the rest comes late, or (`gone_s`) never.
    """

    gone_s: float | None = None
    gone_events: int | None = None
    half: float = 1.0
    slow: bool = False

    @classmethod
    def drawn(cls, chance: Random) -> "Manner":
        """Return one by chance; most are polite."""
        gone_s = chance.choice((0.0, chance.uniform(0, 0.03), chance.uniform(0, 0.6)))
        return chance.choices(
            (
                cls(),
                cls(gone_s=gone_s),
                cls(gone_events=chance.randint(1, 9)),
                cls(slow=True),
                cls(half=chance.random()),
                cls(half=chance.random(), gone_s=0.01),
            ),
            (60, 18, 8, 6, 4, 4),
        )[0]


@dataclass(frozen=True)
class Answer:
    """What was heard; not `whole` where the client went before the end."""

    status: int
    body: bytes
    whole: bool

    @property
    def outcome(self) -> str:
        """Return a word or number for it."""
        return str(self.status) if self.whole else "hung up"

    def json(self) -> Any:
        """Return the body of an answer that is no stream."""
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """Return the events of a stream; "[DONE]" is the text."""
        splitter = EventSplitter()
        found = [event_data(event) for event in splitter.feed(self.body)]
        return [data if data == b"[DONE]" else json.loads(data) for data in found if data]

    def text(self) -> str:
        """Return the text of the first choice of a whole chat."""
        return str(self.json()["choices"][0]["message"]["content"] or "")

    def first_logprob(self) -> float:
        """Return how likely its first token was, where that was asked for."""
        return float(self.json()["choices"][0]["logprobs"]["content"][0]["logprob"])


@dataclass(frozen=True)
class Client:
    """One request's client; `name` is what the worker remembers its use under."""

    port: int
    name: str
    manner: Manner

    async def send(self, ask: Ask) -> Answer:
        """Return what was heard."""
        body = json.dumps(ask.body).encode()
        head = (
            f"POST {ask.path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            f"content-type: application/json\r\nx-weighbridge-use: {self.name}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=_LIMIT)
        heard = bytearray()
        try:
            async with asyncio.timeout(self.manner.gone_s):
                await self._send(writer, head, body)
                return await self._hear(reader, heard)
        except TimeoutError:
            return Answer(0, bytes(heard), whole=False)
        finally:
            writer.transport.abort()

    async def _send(self, writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
        begun = int(len(body) * self.manner.half)
        writer.write(head + body[:begun])
        if begun < len(body):
            await asyncio.sleep(_LINGERS_S)
            writer.write(body[begun:])
        await writer.drain()

    async def _hear(self, reader: asyncio.StreamReader, heard: bytearray) -> Answer:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        if b"transfer-encoding: chunked" not in head:
            heard += await reader.read()
            return Answer(status, bytes(heard), whole=True)
        events = 0
        while size := int(await reader.readline(), 16):
            heard += (await reader.readexactly(size + 2))[:-2]
            events = heard.count(DONE[-2:])
            if self.manner.gone_events is not None and events >= self.manner.gone_events:
                return Answer(status, bytes(heard), whole=False)
            if self.manner.slow:
                await asyncio.sleep(_LINGERS_S)
        return Answer(status, bytes(heard), whole=True)


async def get(port: int, path: str) -> Answer:
    """Return the answer to a GET."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return Answer(int(head.split(b" ", 2)[1]), body, whole=True)
