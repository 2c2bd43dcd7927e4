"""A batcher and those who ask it, without HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from engines.llamacpp.batcher import Batcher
from engines.llamacpp.binding import Runtime
from engines.llamacpp.orders import Order, Progress
from engines.llamacpp.pictures import NO_PICTURES, Layout
from engines.llamacpp.pooled import Pooled
from engines.llamacpp.sampling import SamplingParams
from engines.llamacpp.sequence import SequenceState
from engines.llamacpp.shelf import Shelf
from tests.support.toy_runtime import Gate, ToyRuntime, answer

WAIT_S = 20
GREEDY = SamplingParams(temperature=0)


@dataclass
class Client:
    """One sequence, and what it has been told."""

    prompt: tuple[int, ...]
    count: int
    adapter: int = 0
    layout: Layout = NO_PICTURES
    text: str = ""
    reason: str | None = None
    error: str | None = None
    cached: int = 0
    told: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        order = Order(self.prompt, self.count, GREEDY, adapter=self.adapter, layout=self.layout)
        self.sequence = SequenceState(order, self.hear)

    def hear(self, progress: Progress) -> None:
        self.text += progress.text
        self.cached += progress.cached
        self.reason, self.error = progress.finish_reason, progress.error
        self.told.set()
        if self.reason or self.error:
            self.ended.set()

    async def end(self) -> "Client":
        async with asyncio.timeout(WAIT_S):
            await self.ended.wait()
        return self

    async def first(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.told.wait()


def client(length: int, count: int, salt: int = 0, adapter: int = 0) -> Client:
    return Client(tuple((salt + 3 * at) % 60 for at in range(length)), count, adapter)


@asynccontextmanager
async def batching(runtime: Runtime, shelf: Shelf | None = None) -> AsyncIterator[Batcher]:
    toy = runtime.pooled if isinstance(runtime, ToyRuntime) else None
    pooled = toy or Pooled(runtime, "mean", in_pieces=True)
    batcher = Batcher(runtime, pooled, asyncio.get_running_loop(), shelf)
    try:
        yield batcher
    finally:
        if isinstance(runtime, ToyRuntime) and isinstance(runtime.before, Gate):
            runtime.before.open_for_good()
        await asyncio.to_thread(batcher.close)


async def arrive(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.arrived.acquire, timeout=WAIT_S)


async def drained(batcher: Batcher, client: Client | None = None) -> None:
    """Wait until the thread has been round again: a short sequence has come and gone."""
    last = client or Client((1,), 1)
    batcher.submit(last.sequence)
    await last.end()


async def together(batcher: Batcher, clients: list[Client]) -> None:
    for one in clients:
        batcher.submit(one.sequence)
    for one in clients:
        await one.end()
        assert one.error is None
        assert one.text == answer(one.prompt, one.count, one.adapter)
        assert one.reason == "length"
