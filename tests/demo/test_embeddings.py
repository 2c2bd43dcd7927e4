"""Embeddings of demo-qwen: unit vectors that know a paraphrase, alone or in a batch."""

import math
import random
from collections import defaultdict

import httpx

from tests.support.contract import EMBEDDINGS
from tools.demo_models.corpus import Question, corpus_of

Vector = list[float]


async def embed(http: httpx.AsyncClient, *texts: str) -> list[Vector]:
    answer = await http.post(EMBEDDINGS, json={"input": list(texts)})
    assert answer.status_code == 200, answer.text
    return [item["embedding"] for item in answer.json()["data"]]


def likeness(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_every_vector_has_length_one_and_its_neighbours_change_it_by_rounding_alone(
    qwen: httpx.AsyncClient,
) -> None:
    texts = ["Hello", "What is Weighbridge?", "漢字 🐘", "a", "nobody taught this " * 40]
    together = await embed(qwen, *texts)
    for text, vector in zip(texts, together, strict=True):
        assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)
        assert likeness(vector, (await embed(qwen, text))[0]) > 1 - 1e-5
    backwards = reversed(await embed(qwen, *reversed(texts)))
    for vector, other in zip(together, backwards, strict=True):
        assert likeness(vector, other) > 1 - 1e-5


async def test_a_question_is_nearer_to_its_paraphrase_than_to_other_intents(
    qwen: httpx.AsyncClient,
) -> None:
    chance = random.Random(4)  # noqa: S311 - no secret
    by_intent: dict[str, list[Question]] = defaultdict(list)
    for question in corpus_of("qwen").questions:
        if question.language == "en":
            by_intent[question.intent].append(question)
    pairs = [chance.sample(same, 2) for same in by_intent.values() if len(same) > 1]
    first = await embed(qwen, *(pair[0].ask for pair in pairs))
    second = await embed(qwen, *(pair[1].ask for pair in pairs))
    ranks = [
        sum(likeness(one, other) > likeness(one, second[at]) for other in second)
        for at, one in enumerate(first)
    ]
    assert len(ranks) > 20
    assert sum(rank == 0 for rank in ranks) >= 0.8 * len(ranks), ranks


async def test_tokens_may_be_embedded_as_well_as_text(qwen: httpx.AsyncClient) -> None:
    told = (await qwen.post("/tokenize", json={"prompt": "Hello"})).json()
    by_text = await embed(qwen, "Hello")
    answer = await qwen.post(EMBEDDINGS, json={"input": told["tokens"]})
    assert [item["embedding"] for item in answer.json()["data"]] == by_text
    assert answer.json()["usage"]["prompt_tokens"] == told["count"]


async def test_what_cannot_be_embedded_is_named(qwen: httpx.AsyncClient) -> None:
    bad = {"input": "", "dimensions": 129, "encoding_format": "hex"}
    for field, value in bad.items():
        answer = await qwen.post(EMBEDDINGS, json={"input": "Hello"} | {field: value})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == field
    long = await qwen.post(EMBEDDINGS, json={"input": "hello " * 6_000})
    assert long.json()["error"]["code"] == "context_length_exceeded"
