"""Weights that are wrong inside: the worker says in one line why they never load, or lives on."""

import struct
import subprocess
from pathlib import Path

import pytest

from engines.demo import weights_path
from tests.support.contract import CHAT, EMBEDDINGS, user
from tests.support.gguf_files import patched, text
from tests.support.process import gateway_process
from tests.support.worker import command, working

QWEN = weights_path("qwen").read_bytes()
HELLO = {"messages": user("Hello"), "max_tokens": 4}
ROPE = "qwen2.rope.dimension_count"
# On these llama.cpp fails an assertion while it loads.
ABORTING = {
    "rope.gguf": (patched(QWEN, ROPE, struct.pack("<I", 16)), "n_embd_head == n_rot"),
    "none.gguf": (patched(QWEN, "tokenizer.ggml.model", text("none")), "LLAMA_VOCAB_TYPE_NONE"),
    "twice.gguf": (QWEN.replace(text("!"), text('"'), 1), "token_to_id"),
}
CONFIG = """
engines: {cpu: {kind: llamacpp}}
models: {m: {engine: cpu, weights: ./m.gguf}}
"""


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ABORTING)
def test_what_llama_aborts_on_is_one_line_and_exit_2(name: str, tmp_path: Path) -> None:
    data, why = ABORTING[name]
    ended = subprocess.run(
        command("--weights", str(written(tmp_path, name, data)), "--port", "0"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith(f"llama.cpp cannot load {name}: GGML_ASSERT(")
    assert why in ended.stderr
    assert "/" not in ended.stderr


async def test_clients_learn_why_an_engine_died_while_it_loaded(tmp_path: Path) -> None:
    # Of a vocabulary without single bytes C++ makes an exception that nobody catches.
    written(tmp_path, "m.gguf", QWEN.replace(text("gpt2"), text("llama"), 1))
    with gateway_process(tmp_path, config=CONFIG) as gateway:
        async with gateway.client(headers={"content-type": "application/json"}) as http:
            answer = await http.post(CHAT, json=HELLO | {"model": "m"})
            assert answer.status_code == 503
            assert "std::out_of_range" in answer.json()["error"]["message"]
            (row,) = [r for r in (await http.get("/v1/models")).json()["data"] if r["id"] == "m"]
            assert row["state"] == "failed"
            assert "killed by SIGABRT: terminate called after throwing" in row["reason"]
            assert row["replicas"][0]["restarts"] == 2


async def test_weights_that_are_no_numbers_end_requests_and_not_the_worker(tmp_path: Path) -> None:
    # The file ends with the weights of the last norm.
    path = written(tmp_path, "nan.gguf", QWEN[:-4] + struct.pack("<f", float("nan")))
    with working(str(path)) as worker:
        async with worker.client() as http:
            for _ in range(3):
                answer = await http.post(CHAT, json=HELLO)
                assert answer.status_code == 500
                assert answer.json()["error"]["code"] == "engine_error"
                assert "no token has a finite logit" in answer.json()["error"]["message"]
            embedded = await http.post(EMBEDDINGS, json={"input": "a"})
            assert embedded.status_code == 500
            assert "not a number" in embedded.json()["error"]["message"]
            assert (await http.get("/health")).status_code == 200
