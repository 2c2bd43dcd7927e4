"""How a worker draws: the samplers of llama.cpp, and the same seed in any company."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.conftest import WorkerOf
from tests.support.contract import COMPLETIONS

BABBLE = {"temperature": 1.5, "max_tokens": 40, "ignore_eos": True}
PROMPTS = [f"{word} river clock orange paper silent" for word in "abcdefghijklmnop"]


async def text(http: httpx.AsyncClient, prompt: str, **fields: Any) -> str:
    answer = await http.post(COMPLETIONS, json={"prompt": prompt, **BABBLE, **fields})
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["choices"][0]["text"]
    return found


@pytest.mark.parametrize("temperature", [1.0, 2.0])
async def test_the_same_seed_says_nearly_always_the_same_alone_cached_and_in_company(
    worker_of: WorkerOf, temperature: float
) -> None:
    async def said(http: httpx.AsyncClient, at: int, **fields: Any) -> str:
        return await text(http, PROMPTS[at], temperature=temperature, seed=at, **fields)

    every = range(len(PROMPTS))
    async with worker_of("demo:qwen", "--no-prefix-cache").client() as http:
        alone = [await said(http, at) for at in every]
        beside = await asyncio.gather(*(said(http, at) for at in every))
    async with worker_of().client() as http:
        for at in every:
            await said(http, at, max_tokens=1)
        cached = await asyncio.gather(*(said(http, at) for at in every))
    assert len(set(alone)) == len(alone)
    # llama.cpp rounds differently there; before draws were races, nearly all 16 differed.
    for others in (beside, cached):
        assert sum(one != other for one, other in zip(alone, others, strict=True)) <= 5


async def test_the_seed_that_llama_server_and_vllm_call_none_is_none(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        said = [await text(http, "Hello", seed=-1) for _ in range(4)]
    assert len(set(said)) > 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bias_that_leaves_no_token_is_the_clients_to_mend(
    worker_of: WorkerOf, stream: bool
) -> None:
    """To a gateway a 500 would be the engine's failure, and more of them a reason to avoid it."""
    ask = {"prompt": "Hello", "guided_choice": ["7"], "stream": stream}
    async with worker_of().client() as http:
        told = await http.post(COMPLETIONS, json=ask | {"logit_bias": [["7", False]]})
        assert told.status_code == 400, told.text
        assert told.json()["error"]["param"] == "logit_bias"
        assert (await http.post(COMPLETIONS, json=ask)).status_code == 200


async def test_bounds_may_be_larger_than_any_text(worker_of: WorkerOf) -> None:
    most = 2**64 - 1
    fields = {"repeat_penalty": 1.1, "repeat_last_n": most, "top_k": most, "dry_multiplier": 1}
    fields |= {"dry_allowed_length": most, "dry_penalty_last_n": most}
    async with worker_of().client() as http:
        assert await text(http, "Hello", **fields)


async def test_each_sampler_changes_what_is_drawn_and_is_reproducible(worker_of: WorkerOf) -> None:
    samplers: list[dict[str, Any]] = [
        {},
        {"top_n_sigma": 0.5},
        {"dynatemp_range": 1.4, "dynatemp_exponent": 2},
        {"adaptive_target": 0.3, "adaptive_decay": 0.5, "min_p": 0.02},
        {"typical_p": 0.2},
        {"xtc_probability": 1, "xtc_threshold": 0.05},
        {"mirostat": 1, "mirostat_tau": 1},
        {"mirostat": 2, "mirostat_tau": 1},
    ]
    async with worker_of("demo:qwen", "--no-prefix-cache").client() as http:
        for fields in samplers:
            fields["seed"] = 3
        once = [await text(http, "Hello", **fields) for fields in samplers]
        again = [await text(http, "Hello", **fields) for fields in samplers]
    assert once == again
    assert len(set(once)) == len(once)


async def test_samplers_are_taken_in_the_order_that_is_asked_for(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        greedy = await text(http, "Hello", temperature=0)
        first = [
            await text(http, "Hello", top_k=1, seed=at, samplers=samplers, min_keep=min_keep)
            for at, (samplers, min_keep) in enumerate(
                [(["top_k", "temp"], 9), ("tk", 0), (None, 9)]
            )
        ]
        # What is left out is off, the temperature too.
        bare = [await text(http, "Hello", temperature=0, seed=at, samplers=[]) for at in (1, 2)]
        wrong = await http.post(COMPLETIONS, json={"prompt": "a", "samplers": ["top_k", "tfs_z"]})
    assert first == [greedy] * 3
    assert len({greedy, *bare}) == 3
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "samplers")
    assert "'tfs_z'" in wrong.json()["error"]["message"]


async def test_a_dynamic_temperature_draws_where_the_given_one_would_not(
    worker_of: WorkerOf,
) -> None:
    async with worker_of().client() as http:
        greedy = [await text(http, "Hello", temperature=0, seed=at) for at in range(4)]
        drawn = [
            await text(http, "Hello", temperature=0, dynatemp_range=2, seed=at) for at in range(4)
        ]
    assert len(set(greedy)) == 1
    assert len(set(drawn)) == 4


async def test_dry_breaks_out_of_a_loop(worker_of: WorkerOf) -> None:
    prompt = "one two three " * 12
    async with worker_of().client() as http:
        told = (await http.post("/tokenize", json={"prompt": prompt})).json()["tokens"]
        # Whatever the model would say of its own, it can only say the loop's tokens.
        bias = {"logit_bias": {str(token): 60 for token in set(told)}, "temperature": 0}
        loop = await text(http, prompt, **bias)
        dry = {"dry_multiplier": 100, "dry_base": 2}
        free = await text(http, prompt, **bias, **dry)
        unbroken = await text(http, prompt, **bias, **dry, dry_sequence_breakers=list("ontwhre "))
    assert loop == unbroken != free
