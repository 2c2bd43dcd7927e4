"""Prompts far beyond the context: refused at once with both numbers, and nobody waits for it."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import WorkerOf
from tests.support.contract import CHAT, COMPLETIONS, EMBEDDINGS, user
from tests.support.process import gateway_process

TEN_MB = 10_000_000
CONTEXT = 4_096
CONFIG = "engines: {cpu: {kind: llamacpp}}\nmodels: {m: {engine: cpu, weights: 'demo:qwen'}}\n"
REFUSAL = re.compile(
    r"The prompt has at least (\d+) tokens, and this model's context length is 4096 tokens"
)


def asks(text: str) -> dict[str, dict[str, Any]]:
    return {
        CHAT: {"messages": user(text)},
        COMPLETIONS: {"prompt": [text, "short"]},
        EMBEDDINGS: {"input": text},
        "/tokenize": {"prompt": text},
    }


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) / 1024


def check_refusal(answer: httpx.Response) -> None:
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    found = REFUSAL.search(answer.json()["error"]["message"])
    assert found is not None, answer.text
    assert int(found[1]) > CONTEXT


@pytest.mark.parametrize("path", asks(""))
async def test_ten_megabytes_are_refused_with_both_numbers(worker_of: WorkerOf, path: str) -> None:
    worker = worker_of()
    async with worker.client() as http:
        before_mb = peak_mb(worker.process.pid)
        for piece in ("word ", "<|im_start|>", " ", "😀"):
            check_refusal(await http.post(path, json=asks(piece * (TEN_MB // len(piece)))[path]))
        # The body, its text and its bytes; reading the tokens took a gigabyte more.
        assert peak_mb(worker.process.pid) - before_mb < 400


async def test_the_gateway_refuses_it_with_both_numbers_and_asks_nobody(tmp_path: Path) -> None:
    body = {"model": "m", "messages": user("word " * (TEN_MB // 5))}
    with gateway_process(tmp_path, config=CONFIG) as gateway:
        async with gateway.client() as http:
            answer = await http.post(CHAT, json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "context_length_exceeded"
    found = re.search(r"at least (\d+)\) tokens; .* has (\d+)", error["message"])
    assert found is not None, error
    assert int(found[1]) > int(found[2]) == CONTEXT


async def test_others_are_answered_while_a_long_text_is_read(worker_of: WorkerOf) -> None:
    # llama.cpp takes seconds for as many marks, which would fit if they were longer.
    slow = {"prompt": "<|im_start|>" * 30_000}
    async with worker_of("demo:qwen", "--context", "16384").client() as http:
        reading = asyncio.create_task(http.post("/tokenize", json=slow))
        answered = 0
        while not reading.done():
            await http.get("/health")
            answered += 1
        assert (await reading).json()["count"] == 30_000
    assert answered > 5
