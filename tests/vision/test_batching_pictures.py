"""Pictures among the steps of a batcher: evaluated in pieces, shared whole, beside everybody."""

import random
from itertools import pairwise

import numpy as np
import pytest

from engines.llamacpp.pictures import Picture, ids_of, is_text, laid_out, tokens_of
from tests.support.batching import Client, arrive, batching, client, drained, together
from tests.support.toy_runtime import Gate, ToyRuntime, answer


def picture(name: int, count: int, *, whole: bool = False) -> Picture:
    vectors = np.zeros((count, 1), dtype=np.float32)
    places = np.arange(count, dtype=np.int32)[None]
    return Picture(ids_of(bytes([name]), 0, count), vectors, places, count, whole)


def seeing(*parts: int | Picture, count: int = 4) -> Client:
    tokens: list[int] = []
    for part in parts:
        tokens += [part] if isinstance(part, int) else tokens_of([part])
    pictures = [part for part in parts if isinstance(part, Picture)]
    return Client(tuple(tokens), count, layout=laid_out(tokens, pictures))


async def test_a_large_picture_is_read_in_pieces_between_which_others_go_on() -> None:
    runtime, gate = ToyRuntime(cells=400, batch_tokens=16), Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        talker, seer = client(3, 40), seeing(5, picture(1, 64), 6)
        batcher.submit(talker.sequence)
        await arrive(gate)
        batcher.submit(seer.sequence)
        gate.open_for_good()
        await seer.end()
        await talker.end()
    assert seer.text == answer(seer.prompt, seer.count)
    looks = [at for at, step in enumerate(runtime.steps) if not is_text(step[0].token)]
    assert [len(runtime.steps[at]) for at in looks] == [16] * 4
    between = [runtime.steps[at + 1 : after] for at, after in pairwise(looks)]
    assert all(any(row.wanted for step in steps for row in step) for steps in between)


async def test_a_picture_whose_tokens_see_each_other_is_read_at_once() -> None:
    runtime = ToyRuntime(cells=400, batch_tokens=32)
    async with batching(runtime) as batcher:
        await together(batcher, [seeing(5, picture(1, 32, whole=True), 6), client(40, 5)])
    assert sorted(len(s) for s in runtime.steps if not is_text(s[0].token)) == [32]


@pytest.mark.parametrize("parks", [True, False])
async def test_the_same_picture_is_found_again_and_another_is_not(parks: bool) -> None:
    runtime = ToyRuntime(cells=400, shares=True, parks=parks)
    async with batching(runtime) as batcher:
        first = seeing(5, 6, picture(1, 40), *range(10))
        again = seeing(5, 6, picture(1, 40), *range(10), 9)
        other = seeing(5, 6, picture(2, 40), *range(10))
        for one in (first, again, other):
            await together(batcher, [one])
        assert (first.cached, again.cached, other.cached) == (0, 52, 0)
        assert batcher.counts.prompt_tokens == 52 + 1 + 52


async def test_nobody_begins_within_a_picture_that_another_has_read_in_part() -> None:
    runtime = ToyRuntime(cells=400, parallel=2, batch_tokens=16, shares=True)
    gate = Gate()
    runtime.before = gate
    async with batching(runtime) as batcher:
        leaver, follower = (seeing(*range(20), picture(1, 64), 6) for _ in range(2))
        batcher.submit(leaver.sequence)
        while all(is_text(step[0].token) for step in runtime.steps):
            await arrive(gate)
            gate.opened.release()
        batcher.cancel(leaver.sequence)
        gate.open_for_good()
        await together(batcher, [follower])
    assert follower.cached in (0, 20, 84)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_comes_together_answers_as_if_alone(seed: int) -> None:
    """Small caches, pictures large and small, the same ones often: preempted, parked, shared."""
    chance = random.Random(seed)  # noqa: S311 - tests draw the same each time
    known = [picture(n, n * 7, whole=bool(n % 2 and n * 7 <= 16)) for n in range(1, 6)]
    clients = []
    for _ in range(14):
        parts: list[int | Picture] = list(range(chance.choice((1, 12))))
        for _ in range(chance.randrange(3)):
            parts += [chance.choice(known), *[3] * chance.randrange(4)]
        clients.append(seeing(*parts, chance.randrange(50), count=chance.randrange(1, 12)))
    runtime = ToyRuntime(
        cells=130,
        parallel=4,
        batch_tokens=16,
        shares=bool(seed % 3),
        cuts=seed % 4 != 3,
        parks=bool(seed % 2),
        apart=bool(seed % 2),
        drafts=seed % 5 == 0,
    )
    async with batching(runtime) as batcher:
        await together(batcher, clients)
        await drained(batcher)
        assert batcher._cells.used == runtime.held() == 0
