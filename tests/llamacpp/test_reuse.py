"""Sequences that share cells: the same answers, less evaluated, and no cell lost."""

import asyncio
import random

import pytest

from engines.llamacpp.batcher import Batcher
from engines.llamacpp.binding import DecodeFailed
from tests.support.batching import Client, arrive, batching, client, drained, together
from tests.support.toy_runtime import Gate, ToyRuntime, answer

SYSTEM = tuple(range(40))


def after_system(*rest: int, count: int = 5) -> Client:
    return Client((*SYSTEM, *rest), count)


def check_cells(batcher: Batcher, runtime: ToyRuntime) -> None:
    """Hold the batcher's own count to the cells that the cache has."""
    assert batcher._prefixes.used == runtime.held()
    assert batcher._prefixes.busy == 0
    assert set(runtime.cache) == set(batcher._prefixes.kept)


async def test_what_has_ended_is_not_evaluated_again() -> None:
    runtime = ToyRuntime(cells=500, shares=True)
    async with batching(runtime) as batcher:
        first = after_system(50)
        await together(batcher, [first])
        second = after_system(51)
        await together(batcher, [second])
        assert (first.cached, second.cached) == (0, 40)
        assert batcher.counts.prompt_tokens == 42
        assert batcher.counts.cached_tokens == 40
        check_cells(batcher, runtime)


async def test_a_conversation_goes_on_from_the_last_answer() -> None:
    runtime = ToyRuntime(cells=500, shares=True)
    async with batching(runtime) as batcher:
        said = client(20, 10)
        await together(batcher, [said])
        heard = tuple(ord(letter) - 48 for letter in said.text)
        more = Client((*said.prompt, *heard, 1, 2, 3), 5)
        await together(batcher, [more])
        assert more.cached == 29  # all but the last token, which was drawn and never evaluated
        assert len(batcher._prefixes.kept) == 1  # the longer one has all of the shorter


async def test_those_that_arrive_together_read_their_common_prompt_once() -> None:
    runtime = ToyRuntime(cells=500, parallel=8, batch_tokens=64, shares=True)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        waiting = client(1, 1, 55)
        batcher.submit(waiting.sequence)
        await arrive(gate)
        clients = [after_system(n, n) for n in range(8)]
        for one in clients:
            batcher.submit(one.sequence)
        gate.open_for_good()
        for one in clients:
            assert (await one.end()).text == answer(one.prompt, one.count)
        assert [one.cached for one in clients[1:]] == [40] * 7
        assert batcher.counts.prompt_tokens == 1 + 42 + 7 * 2
        check_cells(batcher, runtime)


async def test_equal_prompts_are_evaluated_once_but_for_the_last_token() -> None:
    runtime = ToyRuntime(cells=500, parallel=4, batch_tokens=64, shares=True)
    async with batching(runtime) as batcher:
        await together(batcher, [after_system() for _ in range(4)])
        assert batcher.counts.prompt_tokens == 40 + 3


async def test_shared_cells_count_once_so_that_more_fit() -> None:
    runtime = ToyRuntime(cells=80, parallel=4, batch_tokens=64, shares=True)
    async with batching(runtime) as batcher:
        await together(batcher, [after_system(n, count=8) for n in range(4)])
        assert batcher.counts.preemptions == 0
        assert max(len({row.slot for row in rows}) for rows in runtime.steps) == 4


async def test_kept_prefixes_leave_before_anybody_is_preempted() -> None:
    runtime = ToyRuntime(cells=100, parallel=2, batch_tokens=64, shares=True)
    async with batching(runtime) as batcher:
        await together(batcher, [client(40, 5, 1)])
        for _ in range(2):  # the second is evaluated when the figures are those after the first
            await batcher.pool([[1]])
        assert batcher.counts.kv_used_ratio == 0
        assert batcher.counts.kv_kept_ratio == 0.44
        await together(batcher, [client(45, 5, 2), client(30, 18, 3)])
        assert batcher.counts.preemptions == 0
        check_cells(batcher, runtime)


async def test_a_refusal_costs_kept_prefixes_first() -> None:
    runtime = ToyRuntime(cells=500, shares=True)
    async with batching(runtime) as batcher:
        await together(batcher, [client(20, 5, 1)])
        refusals = iter([True, False, True])
        runtime.full = lambda: next(refusals, False)
        await together(batcher, [client(6, 12, n) for n in (2, 3)])
        assert runtime.refused == 2
        assert batcher.counts.preemptions == 1


async def test_after_a_failed_step_nothing_that_it_may_have_spoilt_is_reused() -> None:
    runtime = ToyRuntime(cells=500, shares=True)
    async with batching(runtime) as batcher:
        await together(batcher, [after_system(1)])
        runtime.before = _fail
        unlucky = after_system(2)
        batcher.submit(unlucky.sequence)
        assert (await unlucky.end()).error == "llama_decode returned -3"
        runtime.before = lambda: None
        lucky = after_system(3)
        await together(batcher, [lucky])
        assert lucky.cached == 0
        check_cells(batcher, runtime)


def _fail() -> None:
    raise DecodeFailed("llama_decode returned -3")


async def test_who_waits_for_anothers_prompt_goes_on_when_that_one_is_cancelled() -> None:
    runtime = ToyRuntime(cells=500, batch_tokens=16, shares=True)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        first, second = after_system(1), after_system(2)
        batcher.submit(first.sequence)
        batcher.submit(second.sequence)
        await arrive(gate)
        batcher.cancel(first.sequence)
        gate.open_for_good()
        assert (await second.end()).text == answer(second.prompt, second.count)
        assert second.cached == 16  # what the first had read in its one step
        await drained(batcher)
        check_cells(batcher, runtime)


async def test_nobody_overtakes_those_who_wait_for_anothers_prompt() -> None:
    runtime = ToyRuntime(cells=500, parallel=2, batch_tokens=16, shares=True)
    async with batching(runtime) as batcher:
        ended: list[str] = []
        clients = {"first": after_system(1), "second": after_system(2), "other": client(3, 5, 50)}
        for name, one in clients.items():
            batcher.submit(one.sequence)
            asyncio.create_task(_note(one, name, ended))  # noqa: RUF006 - awaited through its end
        for one in clients.values():
            await one.end()
        await drained(batcher)
    assert ended == ["first", "second", "other"]


async def _note(one: Client, name: str, ended: list[str]) -> None:
    await one.end()
    ended.append(name)


@pytest.mark.parametrize("seed", range(6))
async def test_any_mix_of_prompts_cancels_and_want_of_cells_says_the_right_things(
    seed: int,
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's mix
    runtime = ToyRuntime(cells=150, parallel=5, batch_tokens=24, shares=True)
    starts = [tuple(chance.choices(range(60), k=chance.randrange(1, 60))) for _ in range(4)]
    async with batching(runtime) as batcher:
        for _ in range(8):
            clients = []
            for _ in range(10):
                rest = tuple(chance.choices(range(60), k=chance.randrange(20)))
                prompt = chance.choice(starts)[: chance.randrange(1, 60)] + rest
                clients.append(Client(prompt, chance.randrange(1, 30)))
            gone = chance.sample(clients, 3)
            for one in clients:
                batcher.submit(one.sequence)
            await gone[0].first()
            for one in gone:
                batcher.cancel(one.sequence)
            for one in clients:
                if one not in gone:
                    assert (await one.end()).text == answer(one.prompt, one.count)
            await drained(batcher)
            check_cells(batcher, runtime)
        assert runtime.refused == 0
        assert batcher.counts.preemptions > 0
        assert batcher.counts.cached_tokens > 0
