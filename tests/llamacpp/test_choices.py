"""From orders to the sequences that run, those of a prompt that is told one behind the other."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from engines.llamacpp.choices import Choices, begun
from engines.llamacpp.orders import Order, Progress
from tests.support.batching import arrive, batching, drained
from tests.support.toy_runtime import Gate, ToyRuntime


@pytest.mark.parametrize(("tokens", "beside"), [(100, False), (20_000, True)])
async def test_sequences_of_long_prompts_are_made_beside_the_event_loop(
    tokens: int, beside: bool
) -> None:
    here, made_in = threading.current_thread(), list[threading.Thread]()

    def ear() -> Callable[[str], bool]:
        made_in.append(threading.current_thread())
        return lambda _: False

    orders = [Order((1,) * tokens, 5, choice=choice, ear=ear) for choice in range(4)]
    async with asyncio.timeout(20):
        made = await begun(orders, lambda _: lambda _: None)
    assert [sequence.order for sequence in made] == orders
    assert {thread is not here for thread in made_in} == {beside}


async def test_who_waits_for_what_is_told_of_a_prompt_ends_with_its_request() -> None:
    gate = Gate()
    runtime = ToyRuntime(shares=True)
    runtime.before = gate
    heard: dict[int, list[Progress]] = {0: [], 1: []}
    orders = [Order((1, 2, 3), 5, logprobs=1, tells_prompt=True, choice=n) for n in range(2)]
    async with batching(runtime) as batcher:
        choices = Choices(batcher, await begun(orders, lambda index: heard[index].append))
        choices.submit()
        await arrive(gate)
        choices.cancel()
        assert [progress.error for progress in heard[1]] == ["cancelled"]
        gate.open_for_good()
        await drained(batcher)
    assert heard[0][-1].error == "cancelled"
    assert len(heard[1]) == 1
