"""Sequences that share cells: the same answers, less evaluated, and no cell lost."""

import asyncio
import random
from dataclasses import replace

import pytest

from engines.llamacpp.batcher import Batcher
from engines.llamacpp.binding import DecodeFailed
from tests.support.batching import Client, arrive, batching, client, drained, together
from tests.support.toy_runtime import Gate, ToyRuntime, answer

SYSTEM = tuple(range(40))


def after_system(*rest: int, count: int = 5) -> Client:
    return Client((*SYSTEM, *rest), count)


def check_cells(batcher: Batcher, runtime: ToyRuntime) -> None:
    """When nothing runs, the cache holds nothing, and the batcher knows."""
    assert batcher._cells.used == runtime.held() == 0
    assert not runtime.cache


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


@pytest.mark.parametrize("cuts", [True, False])
async def test_of_what_is_larger_than_all_that_may_be_kept_the_beginning_is(cuts: bool) -> None:
    runtime, most = ToyRuntime(parks=True, cuts=cuts), 322  # as 40 tokens take
    runtime.limits = replace(runtime.limits, parked_bytes=most)
    async with batching(runtime) as batcher:
        short, long = client(20, 4, salt=1), client(90, 4)
        again = Client((*long.prompt, 1, 2), 4)
        for one in (short, long, again):
            await together(batcher, [one])
            assert batcher._cells.parked_bytes <= most
        assert again.cached == (39 if cuts else 0)
        assert len(batcher._cells.parked) == 1  # where nothing can be cut, the short one
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
        assert len(batcher._cells._parked) == 1  # the longer one has all of the shorter


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


@pytest.mark.parametrize("rest", [(55,), tuple(range(10, 40))])
async def test_a_shorter_prompt_is_not_stuck_behind_a_long_one_with_its_beginning(
    rest: tuple[int, ...],
) -> None:
    runtime = ToyRuntime(cells=500, batch_tokens=16, shares=True)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        # The long one gets nothing as long as the other, which is older and shorter, is read.
        other, long = client(150, 4, 50), after_system(*range(60), *range(60))
        short = after_system(*rest)
        batcher.submit(other.sequence)
        await arrive(gate)
        batcher.submit(long.sequence)
        batcher.submit(short.sequence)
        gate.open_for_good()
        for one in (other, long, short):
            assert (await one.end()).text == answer(one.prompt, one.count)
        check_cells(batcher, runtime)
    ends = [(len(one.prompt) - 1, one.prompt[-1]) for one in (other, short)]  # where the prompts do
    at_end = [
        next(
            at
            for at, rows in enumerate(runtime.steps)
            if any((row.position, row.token, row.wanted) == (*end, True) for row in rows)
        )
        for end in ends
    ]
    assert at_end[1] < at_end[0]


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


async def test_what_has_ended_takes_no_cells_from_those_who_run() -> None:
    runtime = ToyRuntime(cells=100, parallel=2, batch_tokens=64, shares=True)
    async with batching(runtime) as batcher:
        await together(batcher, [client(40, 5, 1)])
        for _ in range(2):  # the second is evaluated when the figures are those after the first
            await batcher.pool([[1]])
        assert batcher.counts.kv_used_ratio == 0
        assert batcher.counts.prefix_cache_bytes == batcher._cells.parked_bytes > 0
        await together(batcher, [client(45, 5, 2), client(30, 18, 3)])
        assert batcher.counts.preemptions == 0
        check_cells(batcher, runtime)


async def test_what_was_preempted_goes_on_where_it_was() -> None:
    runtime = ToyRuntime(cells=100, parallel=2, batch_tokens=64, shares=True)
    async with batching(runtime) as batcher:
        clients = [client(30, 40, n) for n in (1, 2)]
        await together(batcher, clients)
        assert batcher.counts.preemptions == 1
        assert batcher.counts.prompt_tokens == 60  # none was read twice
        assert [one.cached for one in clients] == [0, 0]
        check_cells(batcher, runtime)


async def test_what_cannot_be_cut_goes_on_only_from_all_of_it() -> None:
    runtime = ToyRuntime(cells=500, parks=True, cuts=False)
    async with batching(runtime) as batcher:
        said = client(20, 10)
        await together(batcher, [said])
        heard = tuple(ord(letter) - 48 for letter in said.text)
        more, other = Client((*said.prompt, *heard, 1, 2), 5), Client((*said.prompt, 1, 2), 5)
        await together(batcher, [more])
        await together(batcher, [other])
        assert (more.cached, other.cached) == (29, 0)
        check_cells(batcher, runtime)


async def test_a_prompt_is_read_where_what_was_left_does_not_come_back() -> None:
    runtime = ToyRuntime(cells=500, shares=True)
    async with batching(runtime) as batcher:
        await together(batcher, [after_system(1)])
        runtime.stuck = True
        unlucky = after_system(2)
        await together(batcher, [unlucky])
        assert unlucky.cached == 0
        # What does not come back is not tried again: all that is kept now is what was read anew.
        assert [list(left.tokens[:41]) for left in batcher._cells.parked] == [[*unlucky.prompt]]
        check_cells(batcher, runtime)


async def test_what_was_left_comes_back_only_where_all_of_it_has_room() -> None:
    runtime = ToyRuntime(cells=100, parallel=2, batch_tokens=64, shares=True)
    gate = Gate()
    async with batching(runtime) as batcher:
        await together(batcher, [client(40, 30, 1)])
        runtime.before = gate
        big, small = client(60, 1, 2), client(12, 3, 1)
        for one in (big, small):
            batcher.submit(one.sequence)
        await arrive(gate)
        gate.open_for_good()
        assert (await small.end()).text == answer(small.prompt, 3)
        await big.end()
        check_cells(batcher, runtime)


async def test_a_refusal_preempts_the_youngest() -> None:
    runtime = ToyRuntime(cells=500, shares=True)
    async with batching(runtime) as batcher:
        refusals = iter([False, False, True])
        runtime.full = lambda: next(refusals, False)
        await together(batcher, [client(6, 12, n) for n in (2, 3)])
        assert runtime.refused == 1
        assert batcher.counts.preemptions == 1
        check_cells(batcher, runtime)


async def test_after_a_failed_step_nothing_that_it_may_have_spoilt_is_reused() -> None:
    runtime = ToyRuntime(cells=500, shares=True)
    async with batching(runtime) as batcher:
        await together(batcher, [after_system(1)])
        runtime.before = _fail
        unlucky = after_system(2)
        batcher.submit(unlucky.sequence)
        assert (await unlucky.end()).error == "llama_decode returned -3"
        runtime.before = lambda: None
        lucky = Client((*unlucky.prompt, 3), 5)
        await together(batcher, [lucky])
        assert lucky.cached == 40  # of the one before; the unlucky one left nothing
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


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("seed", range(6))
async def test_any_mix_of_prompts_cancels_and_want_of_cells_says_the_right_things(
    seed: int, apart: bool
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's mix
    runtime = ToyRuntime(cells=150, parallel=5, batch_tokens=24, shares=True, apart=apart)
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
