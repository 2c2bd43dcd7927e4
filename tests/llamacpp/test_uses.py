"""A worker tells what came of a request that was cut off, exactly as it counted it."""

import asyncio
import gc
from typing import Any

import httpx
import msgspec
import pytest

from engines.llamacpp.orders import Order, Progress
from engines.llamacpp.sequence import SequenceState
from engines.llamacpp.uses import Use, Uses
from engines.protocol.errors import NotFound
from tests.support.contract import CHAT, user
from tests.support.worker import figures, working


def scope(name: bytes) -> dict[str, Any]:
    return {"headers": [(b"x-weighbridge-use", name)]}


def sequence(choice: int, read: int, generated: int) -> SequenceState:
    made = SequenceState(Order((1, 2, 3), 9, choice=choice), lambda _: None)
    made.read, made.generated = read, generated
    return made


async def told(uses: Uses, name: bytes) -> dict[str, int]:
    return msgspec.json.decode(await uses.told(name), type=dict[str, int])


async def test_a_use_is_told_when_its_request_and_all_its_sequences_have_ended() -> None:
    uses = Uses()
    use = uses.open(scope(b"a"))
    use.begin([sequence(0, 3, 4), sequence(1, 3, 2)])
    use.delivered(5)
    question = asyncio.create_task(told(uses, b"a"))
    use.heard(Progress(finish_reason="stop"))
    use.close()
    await asyncio.sleep(0)
    assert not question.done()
    use.heard(Progress(error="cancelled"))
    assert await question == {"prompt_tokens": 3, "completion_tokens": 6, "delivered_tokens": 5}


async def test_a_question_may_overtake_its_request() -> None:
    uses = Uses()
    question = asyncio.create_task(told(uses, b"late"))
    await asyncio.sleep(0)
    uses.open(scope(b"late")).close()
    assert (await question)["completion_tokens"] == 0


async def test_a_request_that_was_sent_again_is_told_with_the_one_before() -> None:
    uses = Uses()
    for read, generated in ((3, 1), (3, 4)):
        use = uses.open(scope(b"a"))
        use.begin([sequence(0, read, generated)])
        use.heard(Progress(error="cancelled"))
        use.close()
    assert await told(uses, b"a") == {
        "prompt_tokens": 6,
        "completion_tokens": 5,
        "delivered_tokens": 0,
    }


async def test_memory_is_bounded_and_who_is_unknown_is_not_found() -> None:
    uses = Uses(most=2)
    for name in (b"a", b"b", b"c"):
        uses.open(scope(name)).close()
    assert await told(uses, b"c")
    with pytest.raises(NotFound):
        await uses.told(b"a")


async def test_one_name_sent_for_ever_takes_no_more_memory_than_sent_once() -> None:
    uses = Uses()
    running = uses.open(scope(b"a"))  # what runs on must not keep what ends beside it
    before = alive(Use)
    for _ in range(100):
        sent(uses, b"a")
    assert alive(Use) == before
    running.close()
    assert (await told(uses, b"a"))["completion_tokens"] == 100


async def test_a_name_that_still_comes_is_not_the_first_to_be_forgotten() -> None:
    uses = Uses(most=2)
    for name in (b"a", b"b", b"a", b"c"):
        sent(uses, name)
    assert (await told(uses, b"a"))["completion_tokens"] == 2
    with pytest.raises(NotFound):
        await uses.told(b"b")


async def test_a_name_longer_than_any_gateway_gives_is_not_kept() -> None:
    uses = Uses()
    sent(uses, b"a" * 5_000)
    with pytest.raises(NotFound):
        await uses.told(b"a" * 5_000)


async def test_a_question_that_is_given_up_leaves_nothing_behind() -> None:
    uses = Uses()
    before = alive(asyncio.Event)
    question = asyncio.create_task(uses.told(b"never"))
    await asyncio.sleep(0)
    question.cancel()
    await asyncio.wait([question])
    del question
    assert alive(asyncio.Event) == before


def alive(kind: type) -> int:
    gc.collect()
    return sum(type(thing) is kind for thing in gc.get_objects())


def sent(uses: Uses, name: bytes) -> None:
    """Send a request that reads three tokens and generates one, to its end."""
    use = uses.open(scope(name))
    use.begin([sequence(0, 3, 1)])
    use.heard(Progress(finish_reason="stop"))
    use.close()


async def test_a_real_worker_counts_for_a_stream_that_was_left_what_it_counts_in_all() -> None:
    with working("demo:qwen") as worker:
        async with worker.client() as http:
            for number, most in enumerate((1, 3, 20)):
                before = await figures(http)
                await leave(http, f"use-{number}", after=most)
                told = (await http.get(f"/uses/use-{number}")).json()
                after = await figures(http)
                spent = {name: after[name] - before[name] for name in after}
                assert told["completion_tokens"] == spent["completion_tokens"] >= most
                assert told["prompt_tokens"] == spent["prompt_tokens"] + spent["cached_tokens"]
                assert 0 < told["delivered_tokens"] <= told["completion_tokens"]
            assert (await http.get("/uses/never")).status_code == 404


async def leave(http: httpx.AsyncClient, name: str, after: int) -> None:
    """Hang up after some events of a stream that would go on for long."""
    body = {"messages": user("Hello"), "stream": True, "ignore_eos": True, "max_tokens": 2_000}
    async with http.stream("POST", CHAT, json=body, headers={"x-weighbridge-use": name}) as answer:
        heard = 0
        async for piece in answer.aiter_text():
            heard += piece.count("data: ")
            if heard > after:
                return
