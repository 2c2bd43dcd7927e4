"""The KV cache of a real model: shared cells count once, and change no answer."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from engines.llamacpp.batcher import Batcher
from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import Floats, Limits, Runtime
from engines.weights import resolve
from tests.support.batching import Client, batching
from tests.support.listening import Listener, check_same


class Watched(Runtime):
    """A runtime that counts how often its cache had no room."""

    refused = 0

    def decode(self, pieces: Sequence[Piece], adapter: int = 0, added: int = 0) -> Floats | None:
        logits = super().decode(pieces, adapter, added)
        self.refused += logits is None
        return logits


def demo(*, shares: bool, cells: int = 2_048, parallel: int = 6) -> Watched:
    limits = Limits(300, cells, parallel, 128, threads=1, batch_threads=1)
    return Watched(resolve("demo:qwen", Path()), limits, 0, prefix_cache=shares)


def conversations(runtime: Runtime) -> list[tuple[int, ...]]:
    """Return prompts of which many begin alike."""
    system = "<|im_start|>system\nYou are a helpful assistant who answers briefly.<|im_end|>\n"
    texts = ["", system, system + "<|im_start|>user\nWhat is Weighbridge?<|im_end|>\n"]
    asked = ["hello", "hola", "What can you do?", "What can you do for me?", "2+2", "ciao, 你好"]
    return [
        tuple(
            runtime.vocabulary.tokens(
                f"{text}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n",
                add_special=False,
                parse_special=True,
            )
        )
        for text in texts
        for question in asked
    ]


async def say(runtime: Runtime, rounds: int = 1) -> tuple[list[Listener], Batcher]:
    """Ask everything at once, `rounds` times, some of it cancelled in between."""
    async with batching(runtime) as batcher:
        for turn in range(rounds):
            clients = [Listener(prompt, 40) for prompt in conversations(runtime)]
            gone = [Client(one.prompt, 200) for one in clients[turn::5]]
            for one in (*gone, *clients):
                batcher.submit(one.sequence)
            await gone[0].first()
            for leaving in gone:
                batcher.cancel(leaving.sequence)
            for one in clients:
                await one.end()
                assert one.error is None
    return clients, batcher


async def test_there_may_be_more_sequences_than_tokens_of_a_step() -> None:
    limits = Limits(64, 640, parallel=16, batch_tokens=8, threads=1, batch_threads=1)
    runtime = Runtime(resolve("demo:qwen", Path()), limits, 0)
    async with batching(runtime) as batcher:
        clients = [Listener((5, 6, 7 + n), 5) for n in range(20)]
        for one in clients:
            batcher.submit(one.sequence)
        for one in clients:
            assert (await one.end()).reason == "length"
    runtime.close()


@pytest.mark.parametrize("cells", [2_048, 304], ids=["room for all", "too little room"])
async def test_a_model_says_the_same_with_and_without_reuse(cells: int) -> None:
    plain = demo(shares=False, parallel=1)
    alone, _ = await say(plain)
    plain.close()
    runtime = demo(shares=True, cells=cells)
    shared, batcher = await say(runtime, rounds=2)
    runtime.close()
    same = [check_same(one, other) for one, other in zip(shared, alone, strict=True)]
    assert sum(same) > 0.8 * sum(one.count for one in alone)
    assert batcher.counts.cached_tokens > batcher.counts.prompt_tokens or cells == 304
    assert (batcher.counts.preemptions > 0) is (cells == 304)
    assert runtime.refused == 0  # the cells were counted as llama.cpp counts them
