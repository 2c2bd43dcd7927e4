"""Streams completions from an engine and notes when each token came.

Owns: the clients, what they measure. Must not: know engines, or reach beyond loopback.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from time import perf_counter
from typing import Any

from engines.protocol.events import DONE, EventSplitter, event_data

_DEADLINE_S = 600
# One set of wishes that every engine here knows, as Qwen's own generation_config.json has it.
_SAMPLING = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.0}


@dataclass(slots=True)
class Stream:
    """One streamed answer: seconds of its sending and of each event with text."""

    sent_s: float = 0.0
    heard_s: list[float] = field(default_factory=list)
    tokens: int = 0

    @property
    def ttft_s(self) -> float:
        """Seconds to the first token."""
        return self.heard_s[0] - self.sent_s

    def gaps_s(self, since_s: float = 0.0, until_s: float = float("inf")) -> list[float]:
        """Return the seconds between events, those that ended in a window."""
        pairs = zip(self.heard_s, self.heard_s[1:], strict=False)
        return [after - before for before, after in pairs if since_s < after and before < until_s]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine listens, and what it must be told beside the common wishes."""

    port: int
    extra: dict[str, Any] = field(default_factory=dict)


async def complete(endpoint: Endpoint, prompt: str, tokens: int, stream: Stream) -> Stream:
    """Stream one completion of `tokens` tokens.

    An engine that knows no `ignore_eos` may end earlier: then it is its events that count.

    Raises:
        RuntimeError: the engine refused, or ended early.
    """
    wishes = {"model": "m", "prompt": prompt, "max_tokens": tokens, "stream": True}
    body = json.dumps(wishes | _SAMPLING | endpoint.extra).encode()
    async with asyncio.timeout(_DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        stream.sent_s = perf_counter()
        writer.write(
            b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError((head + await reader.read()).decode())
        ended = await _read_events(reader, stream)
        writer.close()
    if ended != "length" and (ended != "stop" or "ignore_eos" in endpoint.extra):
        raise RuntimeError(f"the answer ended with {ended!r}")
    stream.tokens = tokens if ended == "length" else len(stream.heard_s)
    return stream


async def _read_events(reader: asyncio.StreamReader, stream: Stream) -> str:
    """Read a chunked body of events to its end, and return how the answer ended."""
    splitter, ended = EventSplitter(), ""
    while size := int(await reader.readline(), 16):
        piece = (await reader.readexactly(size + 2))[:-2]
        now = perf_counter()
        for event in splitter.feed(piece):
            data = None if event == DONE else event_data(event)
            if data is None or data == b"[DONE]":
                continue
            chunk = json.loads(data)
            choice = (chunk.get("choices") or [{}])[0]
            # Not each event has text: a token may be half a letter. Each is heard all the same.
            if "text" in choice and not choice.get("finish_reason"):
                stream.heard_s.append(now)
            ended = choice.get("finish_reason") or ended
    return ended


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run gave."""

    tokens_per_s: float
    ttft_p50_s: float
    ttft_p95_s: float
    itl_p95_s: float
    quiet_itl_p95_s: float | None = None


async def closed_loop(
    endpoint: Endpoint, prompts: Sequence[Sequence[str]], tokens: int
) -> Measured:
    """Let each client send its prompts one after the other; all clients at once."""

    async def client(own: Sequence[str]) -> list[Stream]:
        return [await complete(endpoint, prompt, tokens, Stream()) for prompt in own]

    began_s = perf_counter()
    streams = [s for own in await asyncio.gather(*map(client, prompts)) for s in own]
    took_s = perf_counter() - began_s
    waits = [stream.ttft_s for stream in streams]
    gaps = [gap for stream in streams for gap in stream.gaps_s()]
    spoken = sum(stream.tokens for stream in streams)
    return Measured(spoken / took_s, p(50, waits), p(95, waits), p(95, gaps))


async def intruded(
    endpoint: Endpoint, prompts: Sequence[str], tokens: int, intruder: str, after: int
) -> Measured:
    """Let streams run, send one long prompt once each has `after` tokens, and time their gaps.

    `itl_p95_s` is of the gaps while the long prompt was read, `quiet_itl_p95_s` of those before.
    """
    streams = [Stream() for _ in prompts]
    began_s = perf_counter()
    running = [
        asyncio.create_task(complete(endpoint, prompt, tokens, stream))
        for prompt, stream in zip(prompts, streams, strict=True)
    ]
    while min(len(stream.heard_s) for stream in streams) < after:
        await asyncio.sleep(0.001)
        for task in running:
            if task.done():
                task.result()
    settled_s = max(stream.heard_s[0] for stream in streams)
    long = await complete(endpoint, intruder, 8, Stream())
    await asyncio.gather(*running)
    took_s = perf_counter() - began_s
    window = (long.sent_s, long.heard_s[0])
    calm = [gap for stream in streams for gap in stream.gaps_s(settled_s, long.sent_s)]
    held = [gap for stream in streams for gap in stream.gaps_s(*window)]
    spoken = sum(stream.tokens for stream in streams)
    return Measured(spoken / took_s, long.ttft_s, long.ttft_s, p(95, held), p(95, calm))


def p(percent: int, values: Sequence[float]) -> float:
    """Return a percentile of one or more values."""
    if len(values) == 1:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]
