"""Prompts counted with the vocabulary of weights alone: as many tokens as a worker reads."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engines.demo import weights_path
from engines.llamacpp.counting import count, words_of
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest, CompletionRequest
from gateway.tokenizing import answered, question
from tests.support.worker import WorkerProcess

_REQUESTS: dict[str, type[ChatRequest | CompletionRequest]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
}
CHAT: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hola, ¿cuánto es 2+2?"},
    ]
}


def command(path: Path, body: bytes) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "engines.llamacpp.counting", str(path)]
    return subprocess.run(line, input=body, capture_output=True, check=False, timeout=60)


async def test_a_chat_has_as_many_tokens_as_the_worker_reads(worker_of: Any) -> None:
    worker: WorkerProcess = worker_of()
    async with worker.client() as http:
        answer = await http.post("/v1/chat/completions", json=CHAT | {"max_tokens": 1})
    read = answer.json()["usage"]["prompt_tokens"]
    ended = command(weights_path("qwen"), json.dumps(CHAT).encode())
    assert json.loads(ended.stdout) == {"count": read}
    with words_of(weights_path("qwen")) as words:
        assert count(words, json.dumps(CHAT).encode()) == read


def test_texts_and_ids_are_counted() -> None:
    with words_of(weights_path("llama")) as words:
        assert count(words, b'{"prompt": [1, 2, 3]}') == 3
        three = count(words, b'{"prompt": "one two three"}')
        assert three > 2
        assert count(words, b'{"prompt": ["one two three", "one two three"]}') == 2 * three
        assert count(words, b'{"prompt": [[1, 2], [3, 4, 5]]}') == 5


def test_what_cannot_be_counted_is_one_line(tmp_path: Path) -> None:
    with words_of(weights_path("qwen")) as words, pytest.raises(InvalidRequest):
        count(words, b"{}")
    broken = tmp_path / "x.gguf"
    broken.write_bytes(b"GGUF")
    ended = command(broken, b"{}")
    assert ended.returncode == 1
    assert ended.stderr.decode().splitlines()[-1].startswith("x.gguf has no vocabulary")


async def test_a_worker_counts_what_the_gateway_asks(worker_of: Any) -> None:
    worker: WorkerProcess = worker_of()
    texts = {"prompt": "one <|im_end|> two three"}
    async with worker.client() as http:
        for path, asked in (("/v1/chat/completions", CHAT), ("/v1/completions", texts)):
            read = (await http.post(path, json=asked | {"max_tokens": 1})).json()["usage"]
            body = json.dumps(asked).encode()
            request = msgspec.json.decode(body, type=_REQUESTS[path])
            told = await http.post("/tokenize", content=question(request, body, "demo:qwen"))
            assert answered(told.content) == read["prompt_tokens"]
            with words_of(weights_path("qwen")) as words:
                assert count(words, body) == read["prompt_tokens"]
