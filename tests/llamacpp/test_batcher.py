"""The thread that owns the context: same answers in any company, and nobody is left waiting."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from engines.llamacpp.batcher import Batcher
from engines.llamacpp.binding import DecodeFailed
from engines.llamacpp.orders import Progress
from engines.llamacpp.scrape import exposition
from tests.support.batching import WAIT_S, Client, arrive, batching, client, together
from tests.support.toy_runtime import Gate, ToyRuntime, answer


async def test_many_sequences_say_what_each_says_alone() -> None:
    runtime = ToyRuntime(cells=1_000)
    async with batching(runtime) as batcher:
        await together(batcher, [client(5 * n + 1, 20 - n, n) for n in range(12)])
        assert batcher.counts.preemptions == 0
        assert batcher.counts.prompt_tokens == sum(5 * n + 1 for n in range(12))
        assert batcher.counts.completion_tokens == sum(20 - n for n in range(12))
    assert runtime.cache == {}


async def test_a_long_prompt_holds_nobody_up_by_more_than_a_step() -> None:
    runtime = ToyRuntime(cells=1_000, batch_tokens=8)
    async with batching(runtime) as batcher:
        await together(batcher, [client(1, 40), client(300, 2, 1)])
    decoding = [rows for rows in runtime.steps if any(row.position > 0 for row in rows)]
    first = [row for rows in decoding[:38] for row in rows if row.wanted]
    assert len(first) >= 38  # the short one had its token in each step


async def test_more_slots_than_tokens_of_a_step_starve_no_prompt() -> None:
    runtime = ToyRuntime(cells=1_000, parallel=16, batch_tokens=3)
    async with batching(runtime) as batcher:
        await together(batcher, [client(1 + 4 * (n % 2), 9, n) for n in range(20)])
    assert max(len({row.slot for row in rows}) for rows in runtime.steps) <= 3


async def test_short_prompts_that_came_together_begin_together_though_they_are_two_steps() -> None:
    runtime = ToyRuntime(cells=1_000, parallel=16, batch_tokens=100, apart=True)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        first = client(1, 1, 50)
        batcher.submit(first.sequence)
        await arrive(gate)
        clients = [client(15, 6, n) for n in range(12)]
        for one in clients:
            batcher.submit(one.sequence)
        gate.open_for_good()
        for one in clients:
            assert (await one.end()).text == answer(one.prompt, one.count)
    decoding = [len(rows) for rows in runtime.steps if all(row.position >= 15 for row in rows)]
    assert decoding == [12] * 5


async def test_who_has_begun_waits_but_once_for_short_prompts() -> None:
    runtime = ToyRuntime(cells=1_000, parallel=16, batch_tokens=16, apart=True)
    async with batching(runtime) as batcher:
        await together(batcher, [client(15, 6, n) for n in range(16)])
    began = next(at for at, rows in enumerate(runtime.steps) if any(row.wanted for row in rows))
    goes_on = next(
        at for at, rows in enumerate(runtime.steps) if any(row.position == 15 for row in rows)
    )
    assert goes_on - began <= 2


async def test_sequences_that_do_not_fit_together_still_say_the_right_thing() -> None:
    runtime = ToyRuntime(cells=60, parallel=4, batch_tokens=16)
    async with batching(runtime) as batcher:
        await together(batcher, [client(4 + n, 50 - n, n) for n in range(8)])
        assert batcher.counts.preemptions > 0
    assert runtime.cache == {}
    assert runtime.refused == 0


async def test_those_that_gave_way_come_back_in_their_order() -> None:
    runtime = ToyRuntime(cells=40, parallel=4, batch_tokens=40)
    order: list[int] = []
    async with batching(runtime) as batcher:
        clients = [client(8, 30, n) for n in range(4)]
        for at, one in enumerate(clients):
            one.sequence.deliver = _noting(one, at, order)
        await together(batcher, clients)
        assert batcher.counts.preemptions >= 2
    assert order == [0, 1, 2, 3]


def _noting(one: Client, at: int, order: list[int]) -> Callable[[Progress], None]:
    def hear(progress: Progress) -> None:
        one.hear(progress)
        if progress.finish_reason:
            order.append(at)

    return hear


async def test_a_fragmented_cache_lets_the_youngest_wait_and_then_go_on() -> None:
    runtime = ToyRuntime(cells=500)
    refusals = iter([False, False, True, False, True, True])
    runtime.full = lambda: next(refusals, False)
    async with batching(runtime) as batcher:
        await together(batcher, [client(6, 12, n) for n in range(3)])
        assert batcher.counts.preemptions == 3
    assert runtime.refused == 3


async def test_a_cache_that_never_takes_two_serves_them_one_after_the_other() -> None:
    runtime = ToyRuntime()
    async with batching(runtime) as batcher:
        runtime.full = lambda: len(batcher._running) > 1
        await together(batcher, [client(3, 6, n) for n in range(3)])


async def test_one_sequence_that_the_cache_refuses_ends_with_the_reason() -> None:
    runtime = ToyRuntime()
    runtime.full = lambda: True
    async with batching(runtime) as batcher:
        one = client(5, 5)
        batcher.submit(one.sequence)
        assert "no room" in ((await one.end()).error or "")


@pytest.mark.parametrize("what", ["leaving", "arrive"])
async def test_the_event_loop_waits_for_no_state_that_leaves_or_comes_back(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, moved, asked = ToyRuntime(parks=True), threading.Event(), threading.Event()
    moves = getattr(runtime, what)

    def slowly(*given: Any) -> Any:
        moved.set()
        assert asked.wait(WAIT_S)
        return moves(*given)

    monkeypatch.setattr(runtime, what, slowly)
    async with batching(runtime) as batcher:
        first, again = client(20, 1_000 if what == "leaving" else 4), client(20, 4)
        batcher.submit(first.sequence)
        await first.first()
        batcher.cancel(first.sequence)
        if what == "arrive":
            await first.end()
        batcher.submit(again.sequence)
        assert await asyncio.to_thread(moved.wait, WAIT_S)
        other = client(3, 4, salt=5)
        batcher.submit(other.sequence)
        asked.set()
        for one in (again, other):
            assert (await one.end()).text == answer(one.prompt, one.count)


async def test_a_step_that_fails_ends_those_in_it_and_the_next_are_served() -> None:
    runtime = ToyRuntime()
    failures = iter([None, DecodeFailed("llama_decode returned -3")])

    def fail() -> None:
        error = next(failures, None)
        if error is not None:
            raise error

    runtime.before = fail
    async with batching(runtime) as batcher:
        unlucky = [client(3, 5, n) for n in range(2)]
        for one in unlucky:
            batcher.submit(one.sequence)
        for one in unlucky:
            assert (await one.end()).error == "llama_decode returned -3"
        assert runtime.cache == {}
        await together(batcher, [client(3, 5)])
        assert not batcher.failed.is_set()


async def test_broken_logits_end_one_sequence_only() -> None:
    runtime = ToyRuntime()
    async with batching(runtime) as batcher:
        broken, sound = client(3, 8, 5), client(4, 8, 1)
        runtime.broken = 5
        batcher.submit(broken.sequence)
        await together(batcher, [sound])
        assert (await broken.end()).error == "no token has a finite logit"


async def test_a_defect_while_one_is_drawn_ends_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = ToyRuntime()
    async with batching(runtime) as batcher:
        broken, sound = client(3, 8, 5), client(4, 8, 1)
        monkeypatch.setattr(broken.sequence, "advance", _explode)
        batcher.submit(broken.sequence)
        await together(batcher, [sound])
        assert "no token could be drawn" in ((await broken.end()).error or "")
        assert not batcher.failed.is_set()
    assert runtime.cache == {}
    assert "no token could be drawn" in caplog.text


async def test_an_unknown_error_fails_everybody_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runtime = ToyRuntime(parallel=1)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        running, queued = client(3, 5), client(3, 5, 1)
        batcher.submit(running.sequence)
        await arrive(gate)
        batcher.submit(queued.sequence)
        embedding = asyncio.create_task(batcher.pool([[1]]))
        runtime.before = _explode
        runtime.pooled.before = _explode
        gate.open_for_good()
        for one in (running, queued):
            assert "must start again" in ((await one.end()).error or "")
        with pytest.raises(DecodeFailed):
            await embedding
        async with asyncio.timeout(WAIT_S):
            await batcher.failed.wait()
        late = client(2, 2)
        batcher.submit(late.sequence)
        assert (await late.end()).error
        with pytest.raises(DecodeFailed):
            await batcher.pool([[1]])
        assert batcher.counts.running == batcher.counts.waiting == 0
    assert "the batcher's thread failed" in caplog.text
    assert "RuntimeError: boom" in caplog.text


def _explode(*_: object) -> None:
    raise RuntimeError("boom")


@pytest.mark.parametrize("what", ["arrive", "leaving"])
async def test_an_unknown_error_is_told_to_who_comes_in_or_leaves_as_well(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError

    runtime = ToyRuntime(shares=True)
    async with batching(runtime) as batcher:
        await together(batcher, [client(30, 2)])
        monkeypatch.setattr(runtime, what, broken)
        again = client(30, 2) if what == "arrive" else client(30, 2, 5)
        batcher.submit(again.sequence)
        assert "must start again" in ((await again.end()).error or "")


async def test_closing_ends_what_runs_waits_or_comes_later() -> None:
    runtime = ToyRuntime(parallel=1)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        running, queued = client(3, 500), client(3, 5, 1)
        batcher.submit(running.sequence)
        await arrive(gate)
        batcher.submit(queued.sequence)
        embeddings = [asyncio.create_task(batcher.pool([[1]])) for _ in range(3)]
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.to_thread(_wait_for_close, batcher)
        gate.open_for_good()
        await closing
        for one in (running, queued):
            assert (await one.end()).error == "this engine is ending"
        ended = await asyncio.gather(*embeddings, return_exceptions=True)
        assert all(isinstance(error, DecodeFailed) for error in ended)
        late = client(2, 2)
        batcher.submit(late.sequence)
        assert (await late.end()).error
        assert not batcher.failed.is_set()


def _wait_for_close(batcher: Batcher) -> None:
    with batcher._wake:
        assert batcher._wake.wait_for(lambda: batcher._closing, timeout=WAIT_S)


async def test_an_idle_batcher_closes_at_once_and_twice() -> None:
    runtime = ToyRuntime()
    batcher = Batcher(runtime, runtime.pooled, asyncio.get_running_loop())
    await asyncio.to_thread(batcher.close)
    await asyncio.to_thread(batcher.close)


async def test_figures_return_to_nothing_and_are_written_for_a_scrape() -> None:
    runtime = ToyRuntime()
    async with batching(runtime) as batcher:
        await together(batcher, [client(3, 4, n) for n in range(6)])
        await batcher.pool([[1]])
        await batcher.pool([[1]])
        counts = batcher.counts
        assert (counts.running, counts.waiting, counts.kv_used_ratio) == (0, 0, 0)
        text = exposition(counts)
    assert "\nweighbridge_worker_completion_tokens_total 24\n" in text
    assert text.count("# HELP") == text.count("# TYPE") == 17
    assert text.endswith("\n")


async def test_who_decodes_is_evaluated_alone_but_for_a_small_piece() -> None:
    runtime = ToyRuntime(cells=800, batch_tokens=128, apart=True)
    async with batching(runtime) as batcher:
        await together(batcher, [client(length, 12, length) for length in (3, 90, 150, 5)])
    beside = []  # how many tokens of prompts, and of those who decode, each batch has
    for rows in runtime.steps:
        of_slot = Counter(row.slot for row in rows)
        decoding = sum(count == 1 for count in of_slot.values())
        beside.append((len(rows) - decoding, decoding))
    assert any(reading > 36 for reading, _ in beside)
    assert any(decoding and not reading for reading, decoding in beside)
    assert all(reading <= 36 for reading, decoding in beside if decoding)


async def test_who_ends_the_step_of_those_who_decode_leaves_the_prompts_theirs() -> None:
    runtime = ToyRuntime(cells=400, batch_tokens=16, apart=True)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        short, long = client(2, 2, 1), client(60, 3, 2)
        batcher.submit(short.sequence)
        await arrive(gate)
        batcher.submit(long.sequence)
        gate.open_for_good()
        for one in (short, long):
            assert (await one.end()).text == answer(one.prompt, one.count)


async def test_a_failed_first_part_of_a_step_ends_the_second_as_well() -> None:
    runtime = ToyRuntime(cells=400, batch_tokens=16, apart=True)
    async with batching(runtime) as batcher:
        await together(batcher, [client(3, 2, 1)])
        steps = len(runtime.steps)

        def fail() -> None:
            if len(runtime.steps) > steps:
                raise DecodeFailed("llama_decode returned -3")

        runtime.before = fail
        clients = [client(2, 50, 1), client(60, 3, 2)]
        for one in clients:
            batcher.submit(one.sequence)
        for one in clients:
            assert (await one.end()).error == "llama_decode returned -3"
        runtime.before = lambda: None
        await together(batcher, [client(5, 3, 3)])
