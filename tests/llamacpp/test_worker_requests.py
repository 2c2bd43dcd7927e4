"""What the worker refuses, and how it says so."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import WorkerOf
from tests.support.contract import CHAT, COMPLETIONS, EMBEDDINGS, user

MIB = 1024 * 1024

HEAD = "host: localhost\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"text"', b"null", b'{"a":1}'])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EMBEDDINGS, "/tokenize", "/detokenize"])
async def test_a_body_that_is_no_request_is_refused_everywhere(
    worker_of: WorkerOf, path: str, body: bytes
) -> None:
    async with worker_of().client() as http:
        answer = await http.post(path, content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert answer.json()["error"]["message"]


WRONG: list[tuple[str, dict[str, Any], str | None]] = [
    (CHAT, {"messages": [{"content": "no role"}]}, "messages[0].role"),
    (CHAT, {"messages": [{"role": "user", "content": 5}]}, None),
    (CHAT, {"messages": [{"role": "nobody", "content": "a"}]}, "messages[0].role"),
    (CHAT, {"messages": [{"role": "user"}]}, "messages[0].content"),
    (CHAT, {"messages": user("a"), "logit_bias": {"word": 1}}, "logit_bias"),
    (CHAT, {"messages": user("a"), "stop": ["a"] * 17}, "stop"),
    (CHAT, {"messages": user("a"), "max_tokens": -2}, "max_tokens"),
    (CHAT, {"messages": user("a"), "modalities": ["text", "audio"]}, "modalities"),
    (CHAT, {"messages": user("a"), "top_logprobs": 2}, "top_logprobs"),
    (COMPLETIONS, {"prompt": ""}, "prompt"),
    (COMPLETIONS, {"prompt": []}, "prompt"),
    (COMPLETIONS, {"prompt": [99_999]}, "prompt"),
    (COMPLETIONS, {"prompt": [-1]}, "prompt"),
    (COMPLETIONS, {"prompt": [True]}, "prompt"),
    (COMPLETIONS, {"prompt": [[1, "a"]]}, "prompt"),
    (COMPLETIONS, {"prompt": [{"a": 1}]}, "prompt"),
    (COMPLETIONS, {"prompt": ["a"] * 129}, "prompt"),
    (EMBEDDINGS, {"input": ["a", ""]}, "input"),
    ("/tokenize", {"prompt": 5}, "prompt"),
    ("/detokenize", {"tokens": [99_999]}, "tokens"),
    ("/detokenize", {"tokens": [True]}, "tokens"),
    ("/detokenize", {"tokens": "text"}, "tokens"),
]


@pytest.mark.parametrize(("path", "body", "param"), WRONG)
async def test_what_is_wrong_is_named(
    worker_of: WorkerOf, path: str, body: dict[str, Any], param: str | None
) -> None:
    async with worker_of().client() as http:
        answer = await http.post(path, json=body)
        assert answer.status_code == 400, answer.text
        if param is not None:
            assert answer.json()["error"]["param"] == param


async def test_another_model_is_not_found_and_no_name_means_this_one(worker_of: WorkerOf) -> None:
    asks: dict[str, dict[str, Any]] = {
        CHAT: {"messages": user("a"), "max_tokens": 1},
        COMPLETIONS: {"prompt": "a", "max_tokens": 1},
        EMBEDDINGS: {"input": "a"},
    }
    async with worker_of().client() as http:
        for path, ask in asks.items():
            for name in ("demo-qwen", "", None):
                assert (await http.post(path, json=ask | {"model": name})).status_code == 200
            answer = await http.post(path, json=ask | {"model": "gpt-4o", "stream": True})
            assert answer.status_code == 404
            error = answer.json()["error"]
            assert (error["code"], error["param"]) == ("model_not_found", "model")
            assert "'demo-qwen'" in error["message"]


async def test_one_model_is_told_of_as_in_the_list(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        (row,) = (await http.get("/v1/models")).json()["data"]
        assert (await http.get("/v1/models/demo-qwen")).json() == row
        assert (await http.get("/v1/models/gpt-4o")).status_code == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/v1/nothing")])
async def test_what_is_not_there_is_not_found(worker_of: WorkerOf, method: str, path: str) -> None:
    async with worker_of().client() as http:
        answer = await http.request(method, path)
        assert answer.status_code == 404
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", CHAT), ("POST", "/health")])
async def test_another_method_is_told_which_is_allowed(
    worker_of: WorkerOf, method: str, path: str
) -> None:
    async with worker_of().client() as http:
        answer = await http.request(method, path)
        assert answer.status_code == 405
        assert answer.json()["error"]["code"] == "method_not_allowed"
        allowed = {name.strip() for name in answer.headers["allow"].split(",")}
        assert allowed == ({"POST"} if path == CHAT else {"GET", "HEAD"})


async def test_null_is_as_good_as_left_out_where_tokens_are_asked_for(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:

        async def told(body: dict[str, Any]) -> Any:
            return (await http.post("/tokenize", json=body)).json()["tokens"]

        chat = {"messages": user("a b")}
        assert await told({"prompt": None, "content": "a b"}) == await told({"prompt": "a b"})
        assert await told({"prompt": None, **chat}) == await told(chat)
        assert await told({"prompt": "a b", "messages": None}) == await told({"prompt": "a b"})


async def test_a_body_of_65_mib_is_refused_without_being_read(worker_of: WorkerOf) -> None:
    worker = worker_of()
    url = urlsplit(worker.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    head = f"POST {CHAT} HTTP/1.1\r\n{HEAD}content-length: {65 * MIB}\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
    async with worker.client() as http:
        assert (await http.get("/health")).status_code == 200


async def test_a_body_that_grows_beyond_64_mib_is_cut_off(worker_of: WorkerOf) -> None:
    url = urlsplit(worker_of().url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(f"POST {CHAT} HTTP/1.1\r\n{HEAD}transfer-encoding: chunked\r\n\r\n".encode())
    for _ in range(65):
        writer.write(b"%x\r\n%b\r\n" % (MIB, b" " * MIB))
        await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
