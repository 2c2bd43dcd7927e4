"""A worker whose engine breaks, or whose weights carry nonsense, says so and ends as it should."""

import subprocess
import sys

import httpx
import pytest

CHILD = """
import sys
from engines.llamacpp import {module} as module
def broken(*_args, **_more):
    raise {error}
module.{what} = broken
from engines.llamacpp.__main__ import main
sys.argv = ["worker", "--weights=demo:qwen", "--port=0", "--threads=1"]
main()
"""
ASK = {"prompt": "hello", "max_tokens": 4}


def child(module: str, what: str, error: str) -> "subprocess.Popen[str]":
    code = CHILD.format(module=module, what=what, error=error)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# What Rust raises where it panics is of the second kind.
@pytest.mark.parametrize("error", ["RuntimeError('boom')", "BaseException('boom')"])
def test_an_engine_that_breaks_answers_and_ends_its_worker_with_1(error: str) -> None:
    with child("binding", "Runtime.decode", error) as worker:
        assert worker.stdout is not None
        url = worker.stdout.readline().split()[-1]
        answer = httpx.post(f"{url}/v1/completions", json=ASK, timeout=30)
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "engine_error"
        _, said = worker.communicate(timeout=30)
    assert worker.returncode == 1
    assert error.partition("(")[0] + ": boom" in said


def test_an_embedding_that_llama_refuses_is_an_engine_error() -> None:
    refusal = "module.DecodeFailed('llama_decode returned -1')"
    with child("pooled", "Pooled.evaluate", refusal) as worker:
        assert worker.stdout is not None
        url = worker.stdout.readline().split()[-1]
        for _ in range(2):
            answer = httpx.post(f"{url}/v1/embeddings", json={"input": "a"}, timeout=30)
            assert answer.status_code == 500
            assert "llama_decode returned -1" in answer.json()["error"]["message"]
        worker.terminate()
        worker.communicate(timeout=30)
    assert worker.returncode == 0


def test_a_template_that_is_no_jinja_ends_the_worker_with_2_and_one_line() -> None:
    code = "lambda _self, key: '{% for %}' if 'template' in key else None"
    script = CHILD.format(module="binding", what="Runtime.meta", error="KeyError").replace(
        "module.Runtime.meta = broken", f"module.Runtime.meta = {code}"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "is not valid Jinja" in ended.stderr
