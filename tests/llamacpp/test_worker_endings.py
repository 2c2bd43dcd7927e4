"""When an answer ends, and what it may not say, in vLLM's and llama-server's words too."""

from typing import Any

import httpx
import pytest

from tests.conftest import WorkerOf
from tests.support.contract import CHAT, user

ASK: dict[str, Any] = {"messages": user("Hello"), "temperature": 0, "max_tokens": 60}


async def choice(http: httpx.AsyncClient, **fields: Any) -> tuple[str, str, int]:
    """Return what is said, why it ended, and its tokens."""
    answer = await http.post(CHAT, json=ASK | fields)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    (one,) = told["choices"]
    tokens = told["usage"]["completion_tokens"]
    return one["message"]["content"], one["finish_reason"], tokens


async def id_of(http: httpx.AsyncClient, text: str) -> int:
    told = await http.post("/tokenize", json={"prompt": text, "add_special_tokens": False})
    (token,) = told.json()["tokens"]
    assert isinstance(token, int)
    return token


async def test_an_answer_may_be_kept_from_its_end(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        free, why, short = await choice(http)
        assert (why, short < 30) == ("stop", True)
        longer, _, tokens = await choice(http, min_tokens=30)
        assert tokens >= 30
        assert longer.startswith(free)
    async with worker_of("demo:coder").client() as http:
        held, why, _ = await choice(http, min_tokens=30, guided_choice=["yes"])
        assert (held, why) == ("yes", "stop")


async def test_an_answer_ends_with_a_token_or_a_text_that_is_told_if_wanted(
    worker_of: WorkerOf,
) -> None:
    async with worker_of().client() as http:
        mark = await id_of(http, "!")
        assert (await choice(http, stop_token_ids=[mark]))[:2] == ("Hello", "stop")
        assert (await choice(http, stop=["llo!"]))[:2] == ("He", "stop")
        told = await choice(http, stop=["llo!"], include_stop_str_in_output=True)
        assert told[:2] == ("Hello!", "stop")
        later = await choice(http, stop=["!"], min_tokens=5)
        assert later[0].startswith("Hello! ")


async def test_tokens_are_forbidden_by_pairs_and_by_text_too(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        token = await id_of(http, "Hello")
        said = [
            (await choice(http, logit_bias=bias, max_tokens=4))[0]
            for bias in (
                {str(token): -100},
                [[token, False]],
                [["Hello", -100]],
                {str(token): False},
            )
        ]
        assert not said[0].startswith("Hello")
        assert len(set(said)) == 1


async def test_a_penalty_for_what_repeats_has_llama_cpps_name_too(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        ask = {"ignore_eos": True, "max_tokens": 60}
        plain = await choice(http, **ask)
        assert await choice(http, **ask, repeat_penalty=9, repeat_last_n=0) == plain
        whole = await choice(http, **ask, repetition_penalty=9)
        assert await choice(http, **ask, repeat_penalty=9, repeat_last_n=-1) == whole
        few = await choice(http, **ask, repeat_penalty=9, repeat_last_n=3)
        assert len({plain, whole, few}) == 3


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"min_tokens": 61}, "min_tokens"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"stop_token_ids": [1_000_000]}, "stop_token_ids"),
        ({"logit_bias": {"word": 1}}, "logit_bias"),
        ({"logit_bias": {"1000000": 1}}, "logit_bias"),
        ({"logit_bias": {"5": True}}, "logit_bias"),
        ({"logit_bias": [[-1, 1]]}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_its_field(
    worker_of: WorkerOf, fields: dict[str, Any], param: str
) -> None:
    async with worker_of().client() as http:
        answer = await http.post(CHAT, json=ASK | fields)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param
