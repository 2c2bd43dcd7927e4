"""Texts that are longer than what is to be read of them: `truncate_prompt_tokens`, vLLM's field."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import WorkerOf
from tests.support.contract import EMBEDDINGS
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
from tools.families.pooled_toys import (
    BERT,
    BERT_RERANKER,
    QWEN3_EMBEDDING,
    QWEN3_RERANKER,
    PooledToy,
)

LONG = "the weigh bridge weighs one two three " * 400
QUERY = "what weighs?"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pooled")


@pytest.mark.parametrize("pooled", [BERT, QWEN3_EMBEDDING], ids=lambda pooled: pooled.toy.name)
async def test_a_vector_is_that_of_the_first_tokens_and_of_what_ends_a_text(
    worker_of: WorkerOf, folder: Path, pooled: PooledToy
) -> None:
    worker = worker_of(str(file_of(folder, pooled)), *SMALL)
    tokens = await tokens_of(worker, LONG[:200])
    bare = await tokens_of(worker, "")
    ends = [tokens[-1]] if bare and bare[-1] == tokens[-1] else []
    first = [*tokens[: 7 - len(ends)], *ends]
    expected = await vectors(worker, [first])
    for given in (LONG, [LONG], tokens):
        assert np.abs(await vectors(worker, given, truncate_prompt_tokens=7) - expected).max() < (
            NOISE
        )
    short = await vectors(worker, "one two", truncate_prompt_tokens=7)
    assert np.abs(short - await vectors(worker, "one two")).max() < NOISE


@pytest.mark.parametrize("pooled", [BERT, QWEN3_EMBEDDING], ids=lambda pooled: pooled.toy.name)
async def test_as_much_is_read_as_there_is_room_for(
    worker_of: WorkerOf, folder: Path, pooled: PooledToy
) -> None:
    worker = worker_of(str(file_of(folder, pooled)), *SMALL, "--context=48")
    refused = await asked(worker, EMBEDDINGS, 400, input=LONG)
    assert refused["error"]["code"] == "context_length_exceeded"
    told = await asked(worker, EMBEDDINGS, input=[LONG, "one"], truncate_prompt_tokens=-1)
    one = len(await tokens_of(worker, "one"))
    assert told["usage"]["prompt_tokens"] == 48 + one
    for count in (-2, 0, 49):
        wrong = await asked(worker, EMBEDDINGS, 400, input="a", truncate_prompt_tokens=count)
        assert wrong["error"]["param"] == "truncate_prompt_tokens"


@pytest.mark.parametrize(
    "pooled", [BERT_RERANKER, QWEN3_RERANKER], ids=lambda pooled: pooled.toy.name
)
async def test_of_a_pair_the_document_is_cut(
    worker_of: WorkerOf, folder: Path, pooled: PooledToy
) -> None:
    worker = worker_of(str(file_of(folder, pooled)), *SMALL, "--context=200")
    whole: dict[str, Any] = {"query": QUERY, "documents": [LONG, "one two"]}
    refused = await asked(worker, RERANK, 400, **whole)
    assert refused["error"]["code"] == "context_length_exceeded"
    short = (await asked(worker, RERANK, query=QUERY, documents=["one two"]))["usage"]
    told = await asked(worker, RERANK, **whole, truncate_prompt_tokens=-1)
    assert 190 <= told["usage"]["prompt_tokens"] - short["prompt_tokens"] <= 200
    scores = {row["index"]: row["relevance_score"] for row in told["results"]}
    alone = await asked(worker, SCORE, text_1=QUERY, text_2="one two")
    assert scores[1] == pytest.approx(alone["data"][0]["score"], abs=NOISE)
    score = await asked(worker, SCORE, text_1=QUERY, text_2=LONG, truncate_prompt_tokens=-1)
    assert scores[0] == pytest.approx(score["data"][0]["score"], abs=NOISE)


@pytest.mark.parametrize(
    "pooled", [BERT_RERANKER, QWEN3_RERANKER], ids=lambda pooled: pooled.toy.name
)
async def test_a_query_that_leaves_no_room_for_a_document_is_refused_by_name(
    worker_of: WorkerOf, folder: Path, pooled: PooledToy
) -> None:
    worker = worker_of(str(file_of(folder, pooled)), *SMALL, "--context=200")
    few = await asked(worker, SCORE, 400, text_1=QUERY, text_2="one two", truncate_prompt_tokens=3)
    assert few["error"]["param"] == "text_1"
    assert "3 tokens of a pair are read" in few["error"]["message"]
    long: dict[str, Any] = {"query": LONG, "documents": ["one two"]}
    told = await asked(worker, RERANK, 400, **long, truncate_prompt_tokens=-1)
    assert told["error"]["param"] == "query"


@pytest.mark.parametrize("options", [(), ("--embeddings",)], ids=["head", "likeness"])
async def test_of_each_document_only_as_much_is_read_as_coheres_field_says(
    worker_of: WorkerOf, folder: Path, options: tuple[str, ...]
) -> None:
    """`max_tokens_per_doc` bounds no query, and what stands around a text is none of it."""
    weights = "demo:qwen" if options else str(file_of(folder, QWEN3_RERANKER))
    worker = worker_of(weights, *SMALL, "--context=200", *options)
    start, query = "the weigh bridge weighs", "the weigh bridge weighs one two three"
    count = len(await tokens_of(worker, start)) - len(await tokens_of(worker, ""))
    ask: dict[str, Any] = {"query": query, "max_tokens_per_doc": count}
    told = await asked(worker, RERANK, documents=[LONG, "one two"], **ask)
    short = await asked(worker, RERANK, documents=[start, "one two"], query=query)
    assert told["usage"] == short["usage"]
    scores = [
        {row["index"]: row["relevance_score"] for row in each["results"]} for each in (told, short)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=NOISE)
    assert {row["document"]["text"] for row in told["results"]} == {LONG, "one two"}
    both = await asked(worker, RERANK, documents=[LONG], **ask, truncate_prompt_tokens=-1)
    assert both["results"][0]["relevance_score"] == pytest.approx(scores[1][0], abs=NOISE)
    wrong = await asked(worker, RERANK, 400, documents=["a"], query="b", max_tokens_per_doc=0)
    assert wrong["error"]["param"] == "max_tokens_per_doc"


@pytest.mark.parametrize("own", [1, 3, 9])
async def test_bert_reads_the_first_tokens_of_a_document(
    worker_of: WorkerOf, folder: Path, own: int
) -> None:
    worker = worker_of(str(file_of(folder, BERT_RERANKER)), *SMALL, "--context=200")
    none = await asked(worker, RERANK, query=QUERY, documents=[""])
    told = await asked(worker, RERANK, query=QUERY, documents=[LONG], max_tokens_per_doc=own)
    assert told["usage"]["prompt_tokens"] == none["usage"]["prompt_tokens"] + own


async def test_likeness_is_that_of_what_was_read(worker_of: WorkerOf) -> None:
    worker = worker_of("demo:qwen", "--embeddings", "--context=64")
    told = await asked(
        worker, SCORE, text_1=LONG, text_2=LONG + "or not", truncate_prompt_tokens=-1
    )
    assert told["data"][0]["score"] == pytest.approx(1, abs=NOISE)
    assert told["usage"]["prompt_tokens"] == 2 * 64
