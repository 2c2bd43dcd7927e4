"""A worker with LoRA adapters: models of their own to clients, on one set of weights."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engines.demo import weights_path
from tests.support.adapters import write_adapter
from tests.support.contract import CHAT, COMPLETIONS, user
from tests.support.streams import events_of
from tests.support.worker import WorkerProcess, command, working

QWEN = weights_path("qwen")
NAMES = ("demo-qwen", "one", "other", "stronger")


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    folder = tmp_path_factory.mktemp("adapters")
    one, other = (write_adapter(folder / f"{n}.gguf", QWEN, seed=n) for n in (1, 2))
    named = (f"one={one}", f"other={other}", f"stronger={one}:1.5")
    with working(options=[f"--adapter={adapter}" for adapter in named]) as worker:
        yield worker


async def ask(http: httpx.AsyncClient, model: str | None, **fields: Any) -> dict[str, Any]:
    body = {"model": model, "messages": user("hello"), "temperature": 0, "max_tokens": 8}
    answer = await http.post(CHAT, json=body | fields)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_each_adapter_is_listed_under_the_model_that_it_adapts(
    adapted: WorkerProcess,
) -> None:
    async with adapted.client() as http:
        rows = (await http.get("/v1/models")).json()["data"]
    parents = [None, "demo-qwen", "demo-qwen", "demo-qwen"]
    assert [(row["id"], row["parent"]) for row in rows] == list(zip(NAMES, parents, strict=True))
    assert len({row["max_model_len"] for row in rows}) == 1


async def test_the_model_named_in_a_request_decides_and_is_named_in_the_answer(
    adapted: WorkerProcess,
) -> None:
    async with adapted.client() as http:
        alone = [await ask(http, name) for name in NAMES]
        together = await asyncio.gather(*(ask(http, name) for name in NAMES * 3))
        unnamed = await ask(http, None)
    texts = [answer["choices"][0]["message"]["content"] for answer in alone]
    assert len(set(texts)) == 4
    assert [answer["model"] for answer in alone] == list(NAMES)
    assert [answer["choices"][0]["message"]["content"] for answer in together] == texts * 3
    assert unnamed["choices"][0]["message"]["content"] == texts[0]


async def test_streams_and_completions_carry_the_adapters_name(adapted: WorkerProcess) -> None:
    body = {"model": "one", "prompt": "hello", "max_tokens": 4}
    async with adapted.client() as http:
        whole = (await http.post(COMPLETIONS, json=body)).json()
        streamed = events_of((await http.post(COMPLETIONS, json=body | {"stream": True})).text)
    assert whole["model"] == "one"
    assert {event["model"] for event in streamed} == {"one"}


async def test_an_unknown_name_is_told_which_there_are(adapted: WorkerProcess) -> None:
    async with adapted.client() as http:
        answer = await http.post(CHAT, json={"model": "ome", "messages": user("hello")})
    assert answer.status_code == 404
    assert "'demo-qwen', 'one', 'other', 'stronger'" in answer.json()["error"]["message"]


async def test_an_adapter_makes_no_embeddings(adapted: WorkerProcess) -> None:
    async with adapted.client() as http:
        answer = await http.post("/v1/embeddings", json={"model": "one", "input": "hello"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_capability"


def refused(adapter: str) -> str:
    """Return the one line with which a worker refuses an adapter."""
    argv = command("--weights", "demo:qwen", "--port", "0", "--name", "demo", "--adapter", adapter)
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


def test_an_adapter_that_cannot_be_used_gets_one_clear_line(tmp_path: Path) -> None:
    llama = write_adapter(tmp_path / "llama.gguf", weights_path("llama"), seed=1)
    assert "none.gguf" in refused("sql=none.gguf")
    assert "cannot load the adapter 'sql'" in refused(f"sql={llama}")
    assert "cannot load the adapter 'sql'" in refused(f"sql={QWEN}")
    assert "'demo' is taken" in refused(f"demo={llama}")
