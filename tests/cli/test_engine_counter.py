"""`weighbridge route` asks engines to count, and does without where there is none."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from engines.protocol.readings import EmbeddingRequest
from engines.protocol.requests import ChatRequest, Message
from gateway.cli import main
from gateway.cli.engine_counter import EngineCounter
from gateway.config.loading import load_config, parse_config
from tests.support.scripted import ScriptedEngine, json_play, running

REMOTE = """\
engines: {lab: {kind: remote, url: "http://lab:8000/v1", api_key: s3cret}}
models: {big: {engine: lab, upstream_model: Big/Model}}
"""
HELLO = ChatRequest(messages=[Message("user", "Hello")])


def told(text: str = "Hola", *arguments: str) -> dict[str, Any]:
    ended = CliRunner().invoke(main, ["route", text, "--json", *arguments])
    explained: dict[str, Any] = json.loads(ended.stdout)
    return explained


def counter(text: str = REMOTE) -> EngineCounter:
    return EngineCounter(parse_config(text, "r.yaml", {}, Path.cwd()))


class Lab:
    """Stands where httpx would ask a server; keeps what it was asked."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, url: str, **sent: Any) -> httpx.Response:
        self.asked.append((url, sent))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_the_demo_is_counted_by_its_own_vocabulary() -> None:
    counted = told("Write a function that adds two numbers.")
    estimated = told("Write a function that adds two numbers.", "--no-count")
    assert any("the engine counted" in reason for reason in counted["reasons"])
    assert not any("the engine counted" in reason for reason in estimated["reasons"])
    assert counted["request_size_confidence"] == 1


def test_a_text_that_is_no_utf_8_is_counted_too() -> None:
    assert any("the engine counted" in reason for reason in told("caf\udce9 au lait")["reasons"])


def test_a_remote_server_is_asked_for_the_model_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab(httpx.Response(200, json={"count": 7}))
    monkeypatch.setattr(httpx, "post", lab)
    assert counter()("big", HELLO) == 7
    ((url, sent),) = lab.asked
    assert url == "http://lab:8000/tokenize"
    assert sent["headers"]["authorization"] == "Bearer s3cret"
    assert json.loads(sent["content"]) == {
        "model": "Big/Model",
        "messages": [{"role": "user", "content": "Hello"}],
        "content": "Hello",
    }


async def test_a_proxy_of_the_environment_is_no_way_to_an_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = ScriptedEngine(answer=lambda _: json_play({"count": 7}))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with running(engine):
        count = counter(REMOTE.replace("http://lab:8000/v1", engine.url))
        assert await asyncio.to_thread(count, "big", HELLO) == 7


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(404, json={}), httpx.Response(200, text="no"), httpx.ConnectError("gone")],
)
def test_a_server_that_cannot_say_is_done_without(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response | Exception
) -> None:
    monkeypatch.setattr(httpx, "post", Lab(answer))
    assert counter()("big", HELLO) is None


def test_weights_that_are_not_there_and_texts_to_embed_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("engines: {c: {kind: llamacpp}}\nmodels: {m: {engine: c, weights: x.gguf}}\n")
    missing = EngineCounter(load_config(path, {}))
    assert missing("m", HELLO) is None
    assert missing("nobody", HELLO) is None
    assert counter()("big", EmbeddingRequest(input="a")) is None
