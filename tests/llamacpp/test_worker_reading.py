"""Embeddings, ranks and scores of a worker, against what each token's states come to."""

import base64
import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.conftest import WorkerOf
from tests.support.contract import CHAT, COMPLETIONS, EMBEDDINGS, user
from tests.support.pooled_workers import (
    NOISE,
    RERANK,
    SCORE,
    SMALL,
    asked,
    file_of,
    tokens_of,
    vectors,
)
from tests.support.states import softmax, states_of, tensors_in
from tests.support.worker import command, figures
from tools.families.pooled_toys import (
    BERT,
    BERT_RERANKER,
    MODERN_BERT,
    NOMIC,
    QWEN3_EMBEDDING,
    QWEN3_RERANKER,
    PooledToy,
    write_pooled_toy,
)

TEXTS = ["the weigh bridge", "one two", "three " * 60, "the", "weigh one, weigh two! " * 9]
QUERY, DOCUMENTS = "what weighs?", ["the bridge", "one two three", "nothing at all, or so"]
EMBEDDERS = (BERT, NOMIC, MODERN_BERT, QWEN3_EMBEDDING)
RERANKERS = (BERT_RERANKER, QWEN3_RERANKER)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pooled")


def unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


def pool(states: Any, pooling: str) -> Any:
    return unit({"mean": states.mean(axis=0), "cls": states[0], "last": states[-1]}[pooling])


@pytest.mark.parametrize(
    ("pooled", "pooling", "options"),
    [
        (BERT, "cls", ()),
        (BERT, "mean", ("--pooling=mean",)),
        (NOMIC, "mean", ()),
        (MODERN_BERT, "cls", ()),
        (QWEN3_EMBEDDING, "last", ()),
        (QWEN3_EMBEDDING, "mean", ("--pooling=mean",)),
        (QWEN3_EMBEDDING, "cls", ("--pooling=cls",)),
    ],
    ids=lambda given: given.toy.name if isinstance(given, PooledToy) else None,
)
async def test_a_vector_is_what_the_pooling_makes_of_the_tokens_states(
    worker_of: WorkerOf, folder: Path, pooled: PooledToy, pooling: str, options: tuple[str, ...]
) -> None:
    path = file_of(folder, pooled)
    worker = worker_of(str(path), *SMALL, *options)
    told = await vectors(worker, TEXTS)
    for text, vector in zip(TEXTS, told, strict=True):
        tokens = await tokens_of(worker, text)
        assert np.abs(vector - pool(states_of(path, tokens), pooling)).max() < NOISE, text


@pytest.mark.parametrize("pooled", EMBEDDERS, ids=lambda pooled: pooled.toy.name)
async def test_a_vector_does_not_depend_on_its_neighbours(
    worker_of: WorkerOf, folder: Path, pooled: PooledToy
) -> None:
    worker = worker_of(str(file_of(folder, pooled)), *SMALL)
    together = await vectors(worker, TEXTS)
    backwards = (await vectors(worker, TEXTS[::-1]))[::-1]
    alone = np.concatenate([await vectors(worker, text) for text in TEXTS])
    for other in (backwards, alone):
        assert np.abs(together - other).max() < NOISE
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("options", [("--context=500", *SMALL), ("--batch-tokens=7",)])
async def test_a_step_may_have_any_number_of_tokens(
    worker_of: WorkerOf, folder: Path, options: tuple[str, ...]
) -> None:
    path = str(file_of(folder, NOMIC))
    odd = await vectors(worker_of(path, *options), TEXTS)
    assert np.allclose(odd, await vectors(worker_of(path, *SMALL), TEXTS), atol=NOISE)


async def test_short_texts_are_evaluated_together(worker_of: WorkerOf, folder: Path) -> None:
    worker = worker_of(str(file_of(folder, BERT)))
    async with worker.client() as http:
        before = await figures(http)
        told = await asked(worker, EMBEDDINGS, input=["one"] * 100)
        after = await figures(http)
    assert told["usage"] == {"prompt_tokens": 300, "total_tokens": 300} | {
        "completion_tokens": 0,
        "prompt_tokens_details": None,
        "completion_tokens_details": None,
    }
    assert after["prompt_tokens"] - before["prompt_tokens"] == 300
    assert after["text_batches"] - before["text_batches"] == 2  # of 64 sequences each


async def test_a_vector_can_be_shortened_packed_and_made_of_ids(
    worker_of: WorkerOf, folder: Path
) -> None:
    worker = worker_of(str(file_of(folder, BERT)), *SMALL)
    (whole,) = await vectors(worker, "one two")
    (short,) = await vectors(worker, "one two", dimensions=5)
    assert np.allclose(short, unit(whole[:5]), atol=1e-6)
    told = await asked(worker, EMBEDDINGS, input="one two", encoding_format="base64")
    packed = np.frombuffer(base64.b64decode(told["data"][0]["embedding"]), dtype="<f4")
    assert np.allclose(packed, whole, atol=1e-7)
    ids = await tokens_of(worker, "one two")
    assert np.allclose(await vectors(worker, [ids, ids]), whole, atol=NOISE)
    error = (await asked(worker, EMBEDDINGS, 400, input="one", dimensions=65))["error"]
    assert error["param"] == "dimensions"
    assert "64" in error["message"]
    assert "65" in error["message"]


@pytest.mark.parametrize("pooled", [BERT, QWEN3_EMBEDDING], ids=lambda pooled: pooled.toy.name)
async def test_a_text_beyond_the_context_is_refused_with_both_numbers(
    worker_of: WorkerOf, folder: Path, pooled: PooledToy
) -> None:
    worker = worker_of(str(file_of(folder, pooled)), *SMALL, "--context=512")
    assert len(await vectors(worker, [[7] * 512])) == 1
    error = (await asked(worker, EMBEDDINGS, 400, input=["one", [7] * 513]))["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "input")
    assert "Text 2" in error["message"]
    assert "513" in error["message"]
    assert "512" in error["message"]


async def test_an_encoder_never_reads_beyond_its_own_positions(
    worker_of: WorkerOf, folder: Path
) -> None:
    worker = worker_of(str(file_of(folder, BERT)), *SMALL, "--context=4096")
    await asked(worker, EMBEDDINGS, 400, input=[7] * 513)
    assert len(await vectors(worker, [[7] * 512])) == 1


def ranked(path: Path, pooled: PooledToy, tokens: list[int]) -> tuple[float, float]:
    """Return what the head makes of a pair: as it comes, and as a chance."""
    states, tensors = states_of(path, tokens), tensors_in(path)
    if not pooled.is_encoder:
        chance = float(softmax(tensors["cls.output.weight"] @ states[-1])[0])
        return chance, chance
    inner = np.tanh(tensors["cls.weight"] @ states[0] + tensors["cls.bias"])
    score = float((tensors["cls.output.weight"] @ inner + tensors["cls.output.bias"]).item())
    return score, 1 / (1 + math.exp(-score))


def pair_of(pooled: PooledToy, query: str, document: str) -> str:
    """Return the text that a pair is read as, for a worker that reads its marks."""
    if pooled.template is None:
        return f"{query}[SEP]{document}"
    return pooled.template.replace("{query}", query).replace("{document}", document)


@pytest.mark.parametrize("pooled", RERANKERS, ids=lambda pooled: pooled.toy.name)
async def test_documents_are_ranked_by_the_models_head(
    worker_of: WorkerOf, folder: Path, pooled: PooledToy
) -> None:
    path = file_of(folder, pooled)
    worker = worker_of(str(path), *SMALL)
    pairs = [await tokens_of(worker, pair_of(pooled, QUERY, text)) for text in DOCUMENTS]
    bare, chances = zip(*(ranked(path, pooled, tokens) for tokens in pairs), strict=True)
    told = await asked(worker, RERANK, query=QUERY, documents=DOCUMENTS)
    order = sorted(range(3), key=lambda at: -chances[at])
    assert [row["index"] for row in told["results"]] == order
    assert [row["document"]["text"] for row in told["results"]] == [DOCUMENTS[at] for at in order]
    scores = [row["relevance_score"] for row in told["results"]]
    assert np.allclose(scores, [chances[at] for at in order], atol=NOISE)
    assert told["usage"]["total_tokens"] == sum(map(len, pairs))
    assert told["id"].startswith("rerank-")
    few = await asked(
        worker, RERANK, query=QUERY, documents=DOCUMENTS, top_n=2, return_documents=False
    )
    assert [row["index"] for row in few["results"]] == order[:2]
    assert all("document" not in row for row in few["results"])
    raw = await asked(worker, SCORE, text_1=QUERY, text_2=DOCUMENTS, use_activation=False)
    assert np.allclose([row["score"] for row in raw["data"]], bare, atol=4 * NOISE)


async def test_a_score_does_not_depend_on_the_other_documents(
    worker_of: WorkerOf, folder: Path
) -> None:
    for pooled in RERANKERS:
        worker = worker_of(str(file_of(folder, pooled)), *SMALL)
        together = await asked(worker, SCORE, text_1=QUERY, text_2=[*DOCUMENTS, "one " * 90])
        for text, row in zip(DOCUMENTS, together["data"], strict=False):
            alone = await asked(worker, SCORE, text_1=QUERY, text_2=text)
            assert alone["data"][0]["score"] == pytest.approx(row["score"], abs=NOISE)


async def test_texts_are_scored_one_to_one_one_to_many_and_pair_by_pair(
    worker_of: WorkerOf, folder: Path
) -> None:
    worker = worker_of(str(file_of(folder, BERT_RERANKER)), *SMALL)
    many = await asked(worker, SCORE, text_1=QUERY, text_2=DOCUMENTS)
    assert [row["index"] for row in many["data"]] == [0, 1, 2]
    assert {row["object"] for row in many["data"]} == {"score"}
    pairs = await asked(worker, SCORE, text_1=[QUERY] * 3, text_2=DOCUMENTS)
    assert pairs["data"] == many["data"]
    (one,) = (await asked(worker, SCORE, text_1=[QUERY], text_2=DOCUMENTS[0]))["data"]
    assert one["score"] == pytest.approx(many["data"][0]["score"], abs=NOISE)
    for first, second in ((["a", "b"], ["c"]), (["a", "b"], ["c", "d", "e"]), ([], ["c"])):
        await asked(worker, SCORE, 400, text_1=first, text_2=second)


async def test_where_there_is_no_head_likeness_of_vectors_ranks(
    worker_of: WorkerOf, folder: Path
) -> None:
    worker = worker_of(str(file_of(folder, BERT)), *SMALL)
    query, *found = await vectors(worker, [QUERY, *DOCUMENTS])
    told = await asked(worker, SCORE, text_1=QUERY, text_2=DOCUMENTS)
    likeness = [float(query @ vector) for vector in found]
    assert np.allclose([row["score"] for row in told["data"]], likeness, atol=NOISE)
    best = await asked(worker, RERANK, query=QUERY, documents=[{"text": t} for t in DOCUMENTS])
    assert best["results"][0]["index"] == int(np.argmax(likeness))
    tokens = [len(await tokens_of(worker, text)) for text in (QUERY, *DOCUMENTS)]
    assert told["usage"]["prompt_tokens"] == best["usage"]["prompt_tokens"] == sum(tokens)


async def test_a_text_without_a_token_is_told_by_its_place_and_equal_ones_are_no_more_than_equal(
    worker_of: WorkerOf,
) -> None:
    worker = worker_of()
    for path, fields, place in (
        (RERANK, {"query": "", "documents": ["a"]}, "The query"),
        (RERANK, {"query": "a", "documents": ["b", ""]}, "Text 2 of 'documents'"),
        (SCORE, {"text_1": "", "text_2": "a"}, "Text 1 of 'text_1'"),
        (SCORE, {"text_1": "a", "text_2": ["b", "c", ""]}, "Text 3 of 'text_2'"),
        (EMBEDDINGS, {"input": ["a", ""]}, "Text 2 of 'input'"),
    ):
        refused = await asked(worker, path, 400, **fields)
        assert refused["error"]["message"].startswith(f"{place} is empty")
        assert refused["error"]["param"] == next(k for k, v in fields.items() if "" in (v, *v))
    same = await asked(worker, SCORE, text_1=DOCUMENTS, text_2=DOCUMENTS)
    assert all(1 - NOISE < row["score"] <= 1 for row in same["data"])


async def test_what_a_client_writes_is_never_read_as_a_mark(
    worker_of: WorkerOf, folder: Path
) -> None:
    """With `<|turn|>` in it a document could end itself and answer for the model."""
    worker = worker_of(str(file_of(folder, QWEN3_RERANKER)), *SMALL)
    plain = await asked(worker, RERANK, query=QUERY, documents=["x"])
    marked = await asked(worker, RERANK, query=QUERY, documents=["x<|turn|>"])
    assert marked["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"] + len("<|turn|>")


@pytest.mark.parametrize("pooled", [*EMBEDDERS, *RERANKERS], ids=lambda pooled: pooled.toy.name)
async def test_what_a_model_was_not_made_for_is_refused_not_evaluated(
    worker_of: WorkerOf, folder: Path, pooled: PooledToy
) -> None:
    worker = worker_of(str(file_of(folder, pooled)), *SMALL)
    wrong: list[tuple[str, dict[str, Any]]] = [
        (CHAT, {"messages": user("hello")}),
        (COMPLETIONS, {"prompt": "hello"}),
    ]
    if pooled in RERANKERS:
        wrong.append((EMBEDDINGS, {"input": "hello"}))
    for path, body in wrong:
        error = (await asked(worker, path, 400, **body))["error"]
        assert (error["code"], error["param"]) == ("unsupported_capability", "model")
    async with worker.client() as http:
        (row,) = (await http.get("/v1/models")).json()["data"]
    assert row["capabilities"] == ["reranking" if pooled in RERANKERS else "embeddings"]


async def test_a_model_that_only_generates_ranks_nothing(worker_of: WorkerOf) -> None:
    worker = worker_of("demo:coder")
    for path, body in (
        (RERANK, {"query": "a", "documents": ["b"]}),
        (SCORE, {"text_1": "a", "text_2": "b"}),
        (EMBEDDINGS, {"input": "a"}),
    ):
        error = (await asked(worker, path, 400, **body))["error"]
        assert (error["code"], error["param"]) == ("unsupported_capability", "model")
    async with worker.client() as http:
        (row,) = (await http.get("/v1/models")).json()["data"]
    assert row["capabilities"] == ["generation"]


async def test_a_client_that_goes_takes_its_texts_along(worker_of: WorkerOf, folder: Path) -> None:
    worker = worker_of(str(file_of(folder, BERT)), *SMALL)
    async with worker.client() as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(EMBEDDINGS, json={"input": [[7] * 500] * 4_000}, timeout=0.5)
        before = await figures(http)
        assert len(await vectors(worker, "one")) == 1
        after = await figures(http)
    assert after["prompt_tokens"] - before["prompt_tokens"] < 500 * 200


@pytest.mark.parametrize("weights", ["demo:qwen", "bert"])
def test_a_head_that_is_not_there_ends_the_worker_with_2_and_one_line(
    weights: str, folder: Path
) -> None:
    ended = start(file_of(folder, BERT) if weights == "bert" else weights, "--pooling=rank")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "these weights have no head that ranks; choose another --pooling"
    ]


@pytest.mark.parametrize(("pooled", "scores"), [(BERT_RERANKER, 3), (QWEN3_RERANKER, 1)])
def test_a_head_that_does_not_rank_ends_the_worker_with_2_and_one_line(
    pooled: PooledToy, scores: int, tmp_path: Path
) -> None:
    path = write_pooled_toy(replace(pooled, scores=scores), tmp_path / "toy.gguf")
    ended = start(path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("llama.cpp makes no rank of this model's head")


def start(weights: str | Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("--weights", str(weights), "--port=0", *options),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
