"""Embedders and rerankers behind a gateway: found by name and by `auto`, refused for the rest."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import WorkerOf
from tests.support.contract import CHAT, EMBEDDINGS, user
from tests.support.serving import Served, serving
from tools.families.pooled_toys import BERT, BERT_RERANKER, QWEN3_RERANKER, write_pooled_toy

RERANK, SCORE = "/v1/rerank", "/v1/score"
CONFIG = """
engines: {{cpu: {{kind: llamacpp, threads: 1}}}}
models:
  chat: {{engine: cpu, weights: "demo:coder"}}
  embedder: {{engine: cpu, weights: "{folder}/bert.gguf", pooling: mean}}
  ranker: {{engine: cpu, weights: "{folder}/bert-reranker.gguf"}}
  judge: {{engine: cpu, weights: "{folder}/qwen3-reranker.gguf"}}
routes: [{{name: all, use: [embedder, chat, judge, ranker]}}]
"""
PAIR = {"text_1": "what weighs?", "text_2": ["the bridge", "one"]}
RANKS = {"query": "what weighs?", "documents": ["the bridge", "one"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: Any) -> AsyncIterator[Served]:
    folder: Path = tmp_path_factory.mktemp("reading")
    for pooled in (BERT, BERT_RERANKER, QWEN3_RERANKER):
        write_pooled_toy(pooled, folder / f"{pooled.toy.name}.gguf")
    async with serving(CONFIG.format(folder=folder)) as served:
        await served.ready()
        yield served


@pytest.mark.asyncio(loop_scope="module")
async def test_auto_finds_for_each_endpoint_a_model_that_was_made_for_it(served: Served) -> None:
    chat = {"messages": user("hello"), "max_tokens": 2}
    asks: list[tuple[str, dict[str, Any], str]] = [
        (CHAT, chat, "chat"),
        (EMBEDDINGS, {"input": ["one", "two"]}, "embedder"),
        (RERANK, RANKS, "judge"),
        (SCORE, PAIR, "judge"),
    ]
    for path, body, model in asks:
        answer = await served.http.post(path, json=body | {"model": "auto"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-weighbridge-model"] == answer.json()["model"] == model
        assert answer.json()["usage"]["prompt_tokens"] > 0


@pytest.mark.asyncio(loop_scope="module")
async def test_whoever_is_named_ranks_in_the_way_it_can(served: Served) -> None:
    for model in ("embedder", "ranker", "judge"):
        ranks = await served.http.post(RERANK, json=RANKS | {"model": model})
        scores = await served.http.post(SCORE, json=PAIR | {"model": model})
        told = {row["index"]: row["relevance_score"] for row in ranks.json()["results"]}
        for row in scores.json()["data"]:
            assert told[row["index"]] == pytest.approx(row["score"], abs=1e-4)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_model_cannot_do_is_refused_with_those_that_can(served: Served) -> None:
    refused: list[tuple[str, str, dict[str, Any], str]] = [
        (CHAT, "ranker", {"messages": user("hello")}, "'ranker' generates no text. .* chat."),
        (EMBEDDINGS, "judge", {"input": "one"}, "'judge' makes no embeddings. .* embedder."),
        (RERANK, "chat", RANKS, "'chat' ranks nothing. .* embedder, ranker, judge."),
    ]
    for path, model, body, words in refused:
        answer = await served.http.post(path, json=body | {"model": model})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "unsupported_capability"
        assert re.search(words, answer.json()["error"]["message"])


@pytest.mark.asyncio(loop_scope="module")
async def test_the_list_of_models_says_what_each_can_do(served: Served) -> None:
    rows = (await served.http.get("/v1/models")).json()["data"]
    told = {row["id"]: row["capabilities"] for row in rows if row["kind"] == "model"}
    assert told == {
        "chat": ["generation"],
        "embedder": ["embeddings"],
        "ranker": ["reranking"],
        "judge": ["reranking"],
    }


@pytest.mark.asyncio(loop_scope="module")
async def test_a_pooling_in_the_file_reaches_the_worker(
    served: Served, worker_of: WorkerOf
) -> None:
    weights = served.gateway.config.file.models["embedder"].weights
    async with worker_of(weights, "--pooling=mean").client() as http:
        alone = (await http.post(EMBEDDINGS, json={"input": "one two"})).json()
    through = await served.http.post(EMBEDDINGS, json={"model": "embedder", "input": "one two"})
    assert through.json()["data"][0]["embedding"] == pytest.approx(
        alone["data"][0]["embedding"], abs=1e-4
    )
