"""Workers that embed and rank, and what they are asked."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.contract import EMBEDDINGS
from tests.support.worker import WorkerProcess
from tools.families.pooled_toys import PooledToy, write_pooled_toy

RERANK, SCORE = "/v1/rerank", "/v1/score"
SMALL = ("--batch-tokens=64",)
# Sums in another order, in f32 and, where keys and values are kept, f16.
NOISE = 2e-3


def file_of(folder: Path, pooled: PooledToy) -> Path:
    path = folder / f"{pooled.toy.name}.gguf"
    return path if path.exists() else write_pooled_toy(pooled, path)


async def asked(worker: WorkerProcess, path: str, status: int = 200, **body: Any) -> Any:
    async with worker.client() as http:
        answer = await http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def vectors(worker: WorkerProcess, texts: Any, **more: Any) -> Any:
    told = await asked(worker, EMBEDDINGS, input=texts, **more)
    assert [row["index"] for row in told["data"]] == list(range(len(told["data"])))
    return np.array([row["embedding"] for row in told["data"]])


async def tokens_of(worker: WorkerProcess, text: str) -> list[int]:
    tokens: list[int] = (await asked(worker, "/tokenize", prompt=text))["tokens"]
    return tokens
