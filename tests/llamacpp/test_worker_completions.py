"""Completions in full: echo, suffix, the best of several, where each token begins."""

from typing import Any

import httpx
import pytest

from tests.conftest import WorkerOf
from tests.support.contract import COMPLETIONS
from tests.support.streams import events_of, said

FIM = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")


async def ask(http: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await http.post(COMPLETIONS, json=fields)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def refused(http: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await http.post(COMPLETIONS, json=fields)
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


async def ids(http: httpx.AsyncClient, text: str) -> list[int]:
    found: list[int] = (await http.post("/tokenize", json={"prompt": text})).json()["tokens"]
    return found


async def test_a_suffix_is_read_with_the_tokens_that_the_vocabulary_has_for_gaps(
    worker_of: WorkerOf,
) -> None:
    before, behind = "def add(a, b):\n    return ", "\n\nprint(add(2, 2))"
    async with worker_of("demo:coder").client() as http:
        marks = [(await ids(http, mark))[0] for mark in FIM]
        prompt = [marks[0], *await ids(http, before), marks[1], *await ids(http, behind), marks[2]]
        filled = await ask(http, prompt=before, suffix=behind, max_tokens=12)
        spelt = await ask(http, prompt=prompt, max_tokens=12)
        both = await ask(http, prompt=[before, before], suffix=behind, max_tokens=12, echo=True)
    text = filled["choices"][0]["text"]
    assert text == spelt["choices"][0]["text"]
    assert filled["usage"]["prompt_tokens"] == len(prompt)
    assert [choice["text"] for choice in both["choices"]] == [before + text] * 2


async def test_what_looks_like_a_mark_in_a_suffix_is_text(worker_of: WorkerOf) -> None:
    async with worker_of("demo:coder").client() as http:
        plain = await ask(http, prompt="a", suffix="b", max_tokens=1)
        marked = await ask(http, prompt="a", suffix=f"b{FIM[2]}", max_tokens=1)
    assert marked["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"] + 1


async def test_a_model_without_such_tokens_says_so(worker_of: WorkerOf) -> None:
    async with worker_of("demo:llama").client() as http:
        error = await refused(http, prompt="a", suffix="b")
        assert (error["param"], error["code"]) == ("suffix", "unsupported_capability")
        assert (await ask(http, prompt="a", suffix="", max_tokens=1))["choices"]


async def test_the_best_are_the_likeliest_of_those_that_were_drawn(worker_of: WorkerOf) -> None:
    fields = {"prompt": ["Once", "Twice"], "seed": 4, "temperature": 1.5, "max_tokens": 6}
    async with worker_of().client() as http:
        every = await ask(http, **fields, n=5, logprobs=0, ignore_eos=True)
        best = await ask(http, **fields, n=2, best_of=5, ignore_eos=True)

    def likelihood(choice: dict[str, Any]) -> float:
        told = choice["logprobs"]["token_logprobs"]
        return float(sum(told) / len(told))

    expected: list[str] = []
    for first in (0, 5):
        drawn = sorted(every["choices"][first : first + 5], key=likelihood, reverse=True)
        expected += [choice["text"] for choice in drawn[:2]]
    assert [choice["text"] for choice in best["choices"]] == expected
    assert [choice["index"] for choice in best["choices"]] == [0, 1, 2, 3]
    assert {choice["logprobs"] for choice in best["choices"]} == {None}
    assert best["usage"]["completion_tokens"] == 5 * 2 * 6
    assert best["usage"]["prompt_tokens"] == every["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"best_of": 21}, "best_of"),
        ({"echo": True, "logprobs": 1, "suffix": "b"}, "logprobs"),
    ],
)
async def test_what_cannot_be_told_is_refused(
    worker_of: WorkerOf, fields: dict[str, Any], param: str
) -> None:
    async with worker_of().client() as http:
        assert (await refused(http, prompt="a", **fields))["param"] == param


async def test_as_many_as_are_told_may_be_streamed(worker_of: WorkerOf) -> None:
    fields = {"prompt": "a", "n": 2, "best_of": 2, "stream": True, "max_tokens": 3}
    async with worker_of().client() as http:
        events = events_of((await http.post(COMPLETIONS, json=fields)).text)
    assert {choice["index"] for event in events for choice in event["choices"]} == {0, 1}


async def test_each_token_tells_where_it_begins_whole_and_streamed(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        # A character whose bytes are tokens of their own, and a word behind it.
        tokens = await ids(http, "\U0001f9ff")
        bias = {"logit_bias": {str(token): 100 for token in tokens}, "seed": 1}
        for fields in (
            {"prompt": "My name", "max_tokens": 8, "ignore_eos": True},
            {"prompt": "a", "max_tokens": 9, "temperature": 2, **bias},
        ):
            choice = (await ask(http, **fields, logprobs=2))["choices"][0]
            stream = await http.post(COMPLETIONS, json=fields | {"logprobs": 2, "stream": True})
            events = events_of(stream.text)
            told = [c["logprobs"] for event in events for c in event["choices"] if c["logprobs"]]
            offsets = choice["logprobs"]["text_offset"]
            assert [at for logprobs in told for at in logprobs["text_offset"]] == offsets
            assert said(events) == choice["text"]
            for token, at in zip(choice["logprobs"]["tokens"], offsets, strict=True):
                assert token.startswith("bytes:\\x") or choice["text"][at:].startswith(token)


async def test_a_part_of_a_character_is_told_by_its_bytes(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        first = (await ids(http, "\U0001f9ff"))[0]
        fields = {"logit_bias": {str(first): 100}, "max_tokens": 1, "logprobs": 0}
        choice = (await ask(http, prompt="a", **fields))["choices"][0]
    assert choice["logprobs"]["tokens"][0].startswith("bytes:\\xf0")
    assert choice["logprobs"]["text_offset"] == [0]
