"""A step that llama.cpp breaks off in its middle ends those in it, and nothing of it stays."""

from collections.abc import Iterator
from pathlib import Path

import llama_cpp as native
import pytest

from engines.llamacpp.binding import Limits, Runtime
from engines.weights import resolve
from tests.support.batching import batching
from tests.support.listening import Listener, check_same

LIMITS = Limits(400, 1_000, 4, 32, threads=1, batch_threads=1)
PROMPTS = [
    tuple((salt + 7 * at) % 200 + 5 for at in range(length)) for salt, length in ((1, 5), (2, 9))
]
LONG = tuple((3 + 7 * at) % 200 + 5 for at in range(300))
NODES = 20


class Breakable(Runtime):
    """A runtime that, once told to, breaks off a step behind so many of its operations."""

    def __init__(self) -> None:
        super().__init__(resolve("demo:qwen", Path()), LIMITS, 0)
        self.left: int | None = None
        self._callback = native.ggml_abort_callback(self._breaks)
        native.llama_set_abort_callback(self._context, self._callback, None)

    def _breaks(self, _data: object) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0


@pytest.fixture
def runtime() -> Iterator[Breakable]:
    runtime = Breakable()
    yield runtime
    runtime.close()


async def test_who_was_in_it_is_told_and_who_comes_next_says_what_it_says_alone(
    runtime: Breakable,
) -> None:
    async with batching(runtime) as batcher:
        alone = [Listener(prompt, 24) for prompt in (*PROMPTS, LONG)]
        for one in alone:
            batcher.submit(one.sequence)
            assert (await one.end()).error is None
    async with batching(runtime) as batcher:
        unlucky = [Listener(prompt, 300) for prompt in PROMPTS]
        for one in unlucky:
            batcher.submit(one.sequence)
        for one in unlucky:
            await one.first()
        batcher.submit((reading := Listener(LONG, 24)).sequence)
        runtime.left = NODES
        for one in (*unlucky, reading):
            assert (await one.end()).error == "llama_decode returned 2"
        runtime.left = None
        again = [Listener(prompt, 24) for prompt in (*PROMPTS, LONG)]
        for one in again:
            batcher.submit(one.sequence)
        for one, other in zip(again, alone, strict=True):
            assert (await one.end()).error is None
            assert one.cached == 0
            check_same(one, other)
        assert not batcher.failed.is_set()
    assert batcher.counts.running == batcher.counts.kv_used_ratio == 0
