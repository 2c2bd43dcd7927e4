"""Answers that outgrow their context: the middle of the text gives way, where asked for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.llamacpp.drafts import LONGEST_DRAFT
from tests.conftest import WorkerOf
from tests.support.batching import Client, batching
from tests.support.contract import COMPLETIONS
from tests.support.toy_runtime import ToyRuntime, following

CONTEXT = 100


def expected(prompt: tuple[int, ...], count: int) -> str:
    """Return what a text says that forgets its middle whenever the context is full."""
    tokens, said = list(prompt), ""
    for left in range(count - 1, -1, -1):
        token = following(tokens)
        said += chr(48 + token)
        tokens.append(token)
        room = CONTEXT - len(tokens)
        if room <= LONGEST_DRAFT and room < left:
            kept = min(len(prompt), CONTEXT // 4)
            tokens = tokens[:kept] + tokens[-((len(tokens) - kept) // 2) :]
    return said


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 80), st.integers(1, 300)), min_size=1, max_size=4),
    st.booleans(),
)
async def test_a_text_goes_on_from_its_beginning_and_its_latter_half(
    asked: list[tuple[int, int]], shares: bool
) -> None:
    runtime = ToyRuntime(cells=CONTEXT, shares=shares)
    async with batching(runtime) as batcher:
        clients = [
            Client(tuple((salt + at * at) % 60 for at in range(length)), count)
            for salt, (length, count) in enumerate(asked)
        ]
        for one in clients:
            batcher.submit(one.sequence)
        for one in clients:
            await one.end()
            assert (one.error, one.reason) == (None, "length")
            assert one.text == expected(one.prompt, one.count)
        assert runtime.held() == batcher._cells.used == 0
        assert batcher.counts.completion_tokens == sum(one.count for one in clients)


@pytest.mark.parametrize("shifts", [False, True])
async def test_only_who_asks_for_it_gets_more_than_the_context_has(
    worker_of: WorkerOf, *, shifts: bool
) -> None:
    fields = {"prompt": "The quick brown", "max_tokens": 200, "ignore_eos": True}
    options = ("--context", "64", *(("--context-shift",) if shifts else ()))
    async with worker_of("demo:qwen", *options).client() as http:
        told = (await http.post(COMPLETIONS, json=fields)).json()
        short = (await http.post(COMPLETIONS, json=fields | {"max_tokens": 5})).json()
    usage = told["usage"]
    assert told["choices"][0]["finish_reason"] == "length"
    assert usage["completion_tokens"] == (200 if shifts else 64 - usage["prompt_tokens"])
    assert short["usage"]["completion_tokens"] == 5
