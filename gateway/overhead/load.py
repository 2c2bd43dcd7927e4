"""Closed-loop load: so many connections, each asks again as soon as it has its answer.

Owns: the requests, and the times of each. Must not: know whom it asks.
"""

import asyncio
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import cycle
from time import perf_counter

import msgspec

from engines.kinds import Deadlines, ReplicaAddress
from engines.protocol.events import EventSplitter
from gateway.overhead.prompts import prompts
from gateway.relay.client import UpstreamClient, UpstreamRequest

_DEADLINES = Deadlines(connect_s=10, first_byte_s=60, idle_s=60, total_s=600)
_MOST_BYTES = 1 << 24
_DONE = b"data: [DONE]"
# So many distinct prompts, or fewer where they are long: they wait in memory.
PROMPTS = 2_000
_MOST_CHARACTERS = 64_000_000


class LoadFailed(Exception):
    """A request was not answered as it should be; the message says how."""


@dataclass(slots=True)
class Times:
    """Of each request: seconds to the whole answer, and to the first event of a stream."""

    whole_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    events: int = 0
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask, for which model, and how long the prompts are."""

    address: ReplicaAddress
    model: str
    characters: int = 200


@lru_cache(maxsize=4)
def bodies_of(
    model: str, *, stream: bool, count: int = PROMPTS, characters: int = 200
) -> tuple[bytes, ...]:
    """Return so many chat requests; no two have the same prompt, so that nobody's cache counts."""
    count = max(1, min(count, _MOST_CHARACTERS // characters))
    request: dict[str, object] = {"model": model, "max_tokens": 128}
    if stream:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    texts = prompts(count, characters)
    return tuple(
        msgspec.json.encode(request | {"messages": [{"role": "user", "content": text}]})
        for text in texts
    )


async def load(target: Target, connections: int, seconds: float, *, stream: bool) -> Times:
    """Ask for so long over so many connections, one distinct prompt after the other.

    Raises:
        LoadFailed: an answer that is none; the load ends with it.
        Unreachable, ConnectionLost, DeadlinePassed: as `UpstreamClient.send` says.
    """
    client, times = UpstreamClient(), Times()
    bodies = bodies_of(target.model, stream=stream, characters=target.characters)
    requests = cycle([UpstreamRequest("POST", "/chat/completions", body) for body in bodies])
    began_s = perf_counter()

    async def one() -> None:
        while perf_counter() - began_s < seconds:
            await _ask(client, target, next(requests), times, stream=stream)

    try:
        await asyncio.gather(*(one() for _ in range(connections)))
    finally:
        times.took_s = perf_counter() - began_s
        client.close()
    return times


async def _ask(
    client: UpstreamClient, target: Target, request: UpstreamRequest, times: Times, *, stream: bool
) -> None:
    sent_s = perf_counter()
    answer = await client.send(target.address, request, _DEADLINES)
    try:
        if answer.status != 200:
            said = (await answer.read(_MOST_BYTES))[:300].decode("utf-8", "replace")
            raise LoadFailed(f"{target.address.key} answered {answer.status}: {said}")
        if not stream:
            await answer.read(_MOST_BYTES)
        else:
            splitter, last = EventSplitter(), b""
            answer.heard()
            async for piece in answer.pieces():
                answer.heard()
                for event in splitter.feed(piece):
                    if not last:
                        times.first_s.append(perf_counter() - sent_s)
                    times.events += 1
                    last = event
            if not last.startswith(_DONE):
                raise LoadFailed(f"{target.address.key} ended a stream with {last[:100]!r}")
    finally:
        answer.release()
    times.whole_s.append(perf_counter() - sent_s)
