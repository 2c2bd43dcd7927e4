"""`weighbridge init --from`: a file for servers that answer on real sockets."""

from pathlib import Path
from typing import Any

import pytest

from gateway.config.loading import parse_config
from tests.support.answers import chat_answer
from tests.support.initializing import (
    HTML,
    LLAMA_SERVER,
    LM_STUDIO,
    OLLAMA,
    QWEN,
    SGLANG,
    VLLM,
    Lists,
    config,
    is_empty,
    listing,
    lists,
    run,
)
from tests.support.scripted import Heard, Play, ScriptedEngine, json_play, running
from tests.support.serving import serving


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_a_list_of_vllm() -> None:
    async with running(server := lists(VLLM)):
        text = (await run("-", "--from", server.address)).stdout
    file = config(text)
    model = file.models["qwen2.5-72b"]
    assert (model.upstream_model, model.aliases, model.context) == (QWEN, (QWEN,), 16384)
    assert "Family qwen2.5: 72.7B parameters, context 16,384, conditional licence (qwen)" in text
    assert "A LoRA adapter on qwen2.5-72b" in text
    assert file.models["sql-lora"].context == 16384
    assert [(route.name, route.use) for route in file.routes] == [("default", "qwen2.5-72b")]
    assert list(file.engines) == ["vllm"]


async def test_a_list_of_llama_server() -> None:
    async with running(server := lists(LLAMA_SERVER)):
        text = (await run("-", "--from", server.address)).stdout
    file = config(text)
    model = file.models["llama-3.1-8b"]
    assert model.upstream_model == "/models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"
    assert model.context is None  # what it was trained on is not what the server gives
    assert model.aliases == ()
    assert list(file.engines) == ["llama-server"]


async def test_lists_of_sglang_ollama_and_lm_studio_in_one_file() -> None:
    async with (
        running(sglang := lists(SGLANG)),
        running(ollama := lists(OLLAMA)),
        running(studio := lists(LM_STUDIO)),
    ):
        addresses = [f"--from={one.address}" for one in (sglang, ollama, studio)]
        file = config((await run("-", *addresses)).stdout)
    assert list(file.engines) == ["sglang", "ollama", "lm-studio"]
    assert {name: model.upstream_model for name, model in file.models.items()} == {
        "qwq-32b": "Qwen/QwQ-32B",
        "qwen2.5-coder-7b": "qwen2.5-coder:7b",
        "nomic-embed-text": "nomic-embed-text:latest",
        "qwen2.5-7b": "qwen2.5-7b-instruct",
        "text-embedding-bge-m3": "text-embedding-bge-m3",
    }
    assert [name for name, model in file.models.items() if model.embeddings] == [
        "nomic-embed-text",
        "text-embedding-bge-m3",
    ]
    assert {route.name: route.use for route in file.routes} == {
        "embeddings": "nomic-embed-text",
        "code": ("qwen2.5-coder-7b", "qwq-32b", "qwen2.5-7b"),
        "hard": ("qwq-32b", "qwen2.5-7b", "qwen2.5-coder-7b"),
        "default": ("qwen2.5-7b", "qwq-32b", "qwen2.5-coder-7b"),
    }


async def test_servers_with_the_same_models_are_replicas_of_one_engine() -> None:
    async with running(one := lists(VLLM)), running(two := lists(VLLM)):
        file = config((await run("-", "--from", one.address, "--from", two.address)).stdout)
    assert {name: section.kind for name, section in file.engines.items()} == {"vllm": "remote"}
    assert getattr(file.engines["vllm"], "url", None) == (one.url, two.url)
    assert file.models["qwen2.5-72b"].engine == "vllm"


async def test_a_model_on_unlike_servers_has_several_engines_and_their_least_context() -> None:
    more = listing(QWEN, "Qwen/Qwen2.5-7B-Instruct", max_model_len=8192)
    async with running(one := lists(VLLM)), running(two := lists(more)):
        file = config((await run("-", "--from", one.address, "--from", two.address)).stdout)
    assert file.models["qwen2.5-72b"].engine == ("vllm", "local")
    assert file.models["qwen2.5-72b"].context == 8192
    assert file.models["qwen2.5-7b"].engine == "local"


async def test_two_models_that_servers_call_the_same_stay_two() -> None:
    """A served name such as `default` says nothing; what was loaded under it does."""
    first = listing("default", root="Qwen/Qwen2.5-7B-Instruct")
    second = listing("default", root="meta-llama/Llama-3.1-8B-Instruct")
    async with running(one := lists(first)), running(two := lists(second)):
        file = config((await run("-", "--from", one.address, "--from", two.address)).stdout)
    assert {name: model.catalogue for name, model in file.models.items()} == {
        "qwen2.5-7b": "qwen2.5-7b",
        "llama-3.1-8b": "llama-3.1-8b",
    }
    assert {model.upstream_model for model in file.models.values()} == {"default"}
    assert all(model.aliases == () for model in file.models.values())


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "http://127.0.0.1:{}/", "http://127.0.0.1:{}/v1",
                                  "http://127.0.0.1:{}/v1/chat/completions"])  # fmt: skip
async def test_an_address_is_taken_as_people_write_it(form: str) -> None:
    async with running(server := lists(OLLAMA)):
        given = form.format(server.port)
        text = (await run("-", "--from", given, "--from", server.address)).stdout
        assert server.asked == [("/v1/models", None)]
        assert getattr(config(text).engines["ollama"], "url", None) == server.url


async def test_a_path_is_tried_as_given_and_with_v1() -> None:
    server = Lists(lists={"/openai/v1/models": json_play(OLLAMA)})
    async with running(server):
        text = (await run("-", "--from", f"{server.address}/openai")).stdout
        assert [path for path, _ in server.asked] == ["/openai/models", "/openai/v1/models"]
        assert f'url: "{server.address}/openai/v1"' in text


async def test_the_key_is_sent_and_the_file_names_only_its_variable() -> None:
    async with running(server := lists(OLLAMA)):
        result = await run("-", "--from", server.address, "--key-env", "GPU_KEY", GPU_KEY="sesame")
        assert server.asked == [("/v1/models", "Bearer sesame")]
    assert "sesame" not in result.output
    assert 'api_key: "${GPU_KEY}"' in result.stdout
    engine = config(result.stdout, {"GPU_KEY": "sesame"}).engines["ollama"]
    assert engine.api_key.get_secret_value() == "sesame"  # type: ignore[union-attr]


async def test_each_server_may_have_its_own_key() -> None:
    async with running(one := lists(OLLAMA)), running(two := lists(OLLAMA)):
        keys = ("--key-env", "ONE", "--key-env", "TWO")
        result = await run(
            "-", "--from", one.address, "--from", two.address, *keys, ONE="1", TWO="2"
        )
        assert (one.asked[0][1], two.asked[0][1]) == ("Bearer 1", "Bearer 2")
    assert len(config(result.stdout, {"ONE": "1", "TWO": "2"}).engines) == 2


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (lists({"error": "Unauthorized"}, 401), "--key-env"),
        (lists({"error": "loading"}, 503), "not ready"),
        (lists(HTML), "no list of models"),
        (lists({"object": "list", "data": []}), "no model yet"),
        (lists({"object": "list", "data": None}), "no list of models"),
        (lists([1, 2]), "no list of models"),
        (lists(Play([b"[" * 100_000])), "no list of models"),
        (lists(Play([b'{"data": [', None])), "does not speak proper HTTP"),
        (lists(Play([b" " * (1 << 20)] * 9)), "longer than"),
        (lists({}, 404), "HTTP 404"),
        (lists(listing(*map(str, range(1_001)))), "1,001 models"),
    ],
    ids=["key", "loading", "html", "empty", "null", "array", "deep", "cut", "huge", "404", "many"],
)
async def test_a_server_that_gives_no_list_is_one_line_and_nothing_is_written(
    server: Lists, words: str, folder: Path
) -> None:
    async with running(server):
        result = await run("--from", server.address)
    assert result.exit_code == 1
    assert words in result.stderr
    assert server.address in result.stderr
    assert result.stderr.count("\n") == 2  # the server's line, and that nothing was written
    assert is_empty(folder)


async def test_another_weighbridge_is_a_server_like_any_other() -> None:
    """Its aliases and `auto` are names for its models, not more models."""
    async with running(behind := ScriptedEngine(models=(QWEN,), answer=as_server)):
        text = f"engines: {{e: {{kind: remote, url: '{behind.url}'}}}}\n" + (
            f"models: {{big: {{engine: e, upstream_model: {QWEN}, aliases: [gpt-4o]}}}}"
        )
        async with serving(text) as served:
            result = await run("-", "--from", served.url)
    file = config(result.stdout)
    assert [model.upstream_model for model in file.models.values()] == ["big"]


async def test_a_refused_key_is_named_by_its_variable() -> None:
    async with running(server := lists({"error": "Unauthorized"}, 401)):
        result = await run("--from", server.address, "--key-env", "GPU_KEY", GPU_KEY="sesame")
    assert "rejects the key in GPU_KEY" in result.stderr
    assert "sesame" not in result.output


async def test_a_redirect_is_told_and_not_followed() -> None:
    """The key must not travel to where a server points."""
    async with running(other := lists(OLLAMA)):
        play = Play([b""], status=307)
        play.kind = f"text/plain\r\nlocation: {other.url}/models"
        async with running(server := lists(play)):
            result = await run("--from", server.address, "--key-env", "K", K="sesame")
        assert other.asked == []
        assert "give that address" in result.stderr


async def test_a_silent_server_is_left_as_a_comment_when_another_answers(folder: Path) -> None:
    async with running(server := lists(OLLAMA)):
        dead = "http://127.0.0.1:9"
        result = await run("--from", dead, "--from", server.address)
    assert result.exit_code == 0
    assert dead in result.stderr
    assert "nothing listens" in result.stderr
    text = (folder / "routing.yaml").read_text()
    assert list(config(text).engines) == ["ollama"]
    assert f'  # local: {{kind: remote, url: "{dead}/v1"}}' in text
    by_hand = parse_config(text.replace("  # local: {", "  local: {"), "routing.yaml", {}).file
    assert list(by_hand.engines) == ["ollama", "local"]


HOSTILE = [
    "quote \" and ' and \\",
    "line\nfeed: {evil: true}\r\n- x",
    "colon: value # comment",
    "&anchor *alias !!python/object",
    "x" * 300,
    "\u6a21\u578b",
    "mod\u00e8le-\u00e9l\u00e9gant",
    "Same/Name",
    "same:name",
    "${HOME}",
    "a${HOME:-b}c$${HOME}",
    "auto",
    "auto:large",
    "true",
    "null",
    "1e3",
    "\u2028\u0085\ufeff\x00",
    "\U0001f984",
    "qwen2.5-7b-instruct but not really",
    "../../etc/passwd",
]


async def test_hostile_ids_are_served_each_once_and_mean_what_the_server_said() -> None:
    async with running(server := lists(listing(*HOSTILE))):
        result = await run("-", "--from", server.address)
    assert (result.exit_code, result.stderr) == (0, "")
    file = config(result.stdout, {"HOME": "a secret"})
    assert [model.upstream_model for model in file.models.values()] == HOSTILE
    names = [*file.models, *(alias for m in file.models.values() for alias in m.aliases)]
    assert len(set(names)) == len(names)
    assert not any(name.partition(":")[0] == "auto" for name in names)
    assert all(len(name) <= 64 for name in file.models)
    assert "Unknown to the catalogue" in result.stdout


def as_server(heard: Heard) -> Play:
    return json_play(chat_answer(model=str(heard.json()["model"])))


async def test_the_written_file_serves_a_chat_request_through_a_whole_gateway() -> None:
    server = lists(listing("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-Coder-7B-Instruct"))
    server.answer = as_server
    async with running(server):
        text = (await run("-", "--from", server.address)).stdout
        async with serving(text) as served:
            await served.ready()
            asked: list[tuple[str, str]] = [
                ("auto", "Write a Python function that sorts a list."),
                ("auto", "Good morning, how are you today?"),
                ("Qwen/Qwen2.5-Coder-7B-Instruct", "Hello"),
            ]
            told: list[Any] = []
            for model, words in asked:
                body = {"model": model, "messages": [{"role": "user", "content": words}]}
                answer = await served.http.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200
                told.append(answer.json()["model"])
    assert told == ["qwen2.5-coder-7b", "qwen2.5-7b", "qwen2.5-coder-7b"]
    assert [heard.json()["model"] for heard in server.heard] == [
        "Qwen/Qwen2.5-Coder-7B-Instruct",
        "Qwen/Qwen2.5-7B-Instruct",
        "Qwen/Qwen2.5-Coder-7B-Instruct",
    ]
