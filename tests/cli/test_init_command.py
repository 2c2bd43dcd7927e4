"""`weighbridge init`: the demo's file, and a file for servers that answer on real sockets."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from engines.demo import weights_path
from engines.weights.store import Store
from gateway.cli.check import check
from gateway.cli.init import init
from gateway.config.checks import warnings_in
from gateway.config.loading import load_config, parse_config
from gateway.config.schema import RoutingFile
from tests.support.answers import chat_answer
from tests.support.gguf_files import GgufFile
from tests.support.hub_cache import cached
from tests.support.scripted import Heard, Play, ScriptedEngine, json_play, running
from tests.support.serving import serving

ROOT = Path(__file__).resolve().parent.parent.parent
QWEN = "Qwen/Qwen2.5-72B-Instruct"

# One list of each kind of server, in the shape that it is known to have.
VLLM = {
    "object": "list",
    "data": [
        {
            "id": QWEN,
            "object": "model",
            "created": 1795463024,
            "owned_by": "vllm",
            "root": QWEN,
            "parent": None,
            "max_model_len": 16384,
            "permission": [{"id": "modelperm-1", "object": "model_permission"}],
        },
        {
            "id": "sql-lora",
            "object": "model",
            "created": 1795463024,
            "owned_by": "vllm",
            "root": "/adapters/sql",
            "parent": QWEN,
            "max_model_len": None,
            "permission": [],
        },
    ],
}
LLAMA_SERVER = {
    "models": [{"name": "/models/llama.gguf", "type": "model", "capabilities": ["completion"]}],
    "object": "list",
    "data": [
        {
            "id": "/models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
            "object": "model",
            "created": 1795463024,
            "owned_by": "llamacpp",
            "meta": {"vocab_type": 2, "n_vocab": 128256, "n_ctx_train": 131072, "n_params": 8e9},
        }
    ],
}
SGLANG = {
    "object": "list",
    "data": [
        {
            "id": "Qwen/QwQ-32B",
            "object": "model",
            "created": 1795463024,
            "owned_by": "sglang",
            "root": None,
            "parent": None,
            "max_model_len": 40960,
        }
    ],
}
OLLAMA = {
    "object": "list",
    "data": [
        {"id": "qwen2.5-coder:7b", "object": "model", "created": 1795463, "owned_by": "library"},
        {"id": "nomic-embed-text:latest", "object": "model", "created": 1, "owned_by": "library"},
    ],
}
LM_STUDIO = {
    "data": [
        {"id": "qwen2.5-7b-instruct", "object": "model", "owned_by": "organization_owner"},
        {"id": "text-embedding-bge-m3", "object": "model", "owned_by": "organization_owner"},
    ],
    "object": "list",
}
HTML = Play([b"<!DOCTYPE html><title>Welcome</title>"], kind="text/html")


@dataclass
class Lists(ScriptedEngine):
    """A server with an answer for each path; `asked` are the paths and keys as they came."""

    lists: dict[str, Play] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def _play(self, heard: Heard) -> Play:
        if heard.method == "GET" and heard.path != "/metrics":
            self.asked.append((heard.path, heard.headers.get("authorization")))
            return self.lists.get(heard.path, json_play({"detail": "Not Found"}, 404))
        return super()._play(heard)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def lists(value: object, status: int = 200) -> Lists:
    play = value if isinstance(value, Play) else json_play(value, status)
    return Lists(lists={"/v1/models": play})


def listing(*ids: str, **more: object) -> dict[str, object]:
    return {"object": "list", "data": [{"id": one, "object": "model"} | more for one in ids]}


async def run(*arguments: str, **environ: str | None) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, init, arguments, env=environ)


def config(text: str, environ: dict[str, str] | None = None) -> RoutingFile:
    """Load what was written, which must not even deserve a warning."""
    file = parse_config(text, "routing.yaml", environ or {}).file
    assert warnings_in(file) == ()
    return file


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_without_options_it_writes_the_demo_and_says_what_next(folder: Path) -> None:
    result = await run()
    assert (result.exit_code, result.stderr) == (0, "")
    assert (folder / "routing.yaml").read_bytes() == (ROOT / "routing.yaml").read_bytes()
    assert "`weighbridge check`" in result.stdout
    assert "`weighbridge serve`" in result.stdout


async def test_a_file_of_another_name_is_named_in_what_comes_next() -> None:
    result = await run("other.yaml")
    assert "weighbridge serve --config other.yaml" in result.stdout


async def test_what_comes_next_can_be_pasted_where_a_name_has_spaces() -> None:
    result = await run("my file.yaml")
    assert "`weighbridge check --config 'my file.yaml'`" in result.stdout


async def test_a_file_that_is_there_is_kept_unless_forced(folder: Path) -> None:
    mine = folder / "routing.yaml"
    mine.write_text("mine")
    refused = await run()
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert mine.read_text() == "mine"
    assert (await run("--force")).exit_code == 0
    assert mine.read_text() != "mine"


@pytest.mark.parametrize("arguments", [["-"], ["--output", "-"]])
async def test_a_dash_prints_the_file_and_nothing_else(arguments: list[str], folder: Path) -> None:
    result = await run(*arguments)
    assert result.stdout == (ROOT / "routing.yaml").read_text()
    assert is_empty(folder)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere/routing.yaml"], "no folder"),
        (["."], "is a folder"),
        (["a.yaml", "--output", "b.yaml"], "give one"),
        (["--key-env", "KEY"], "--from"),
        (["--from", "http://h", "--key-env", "sk-12 3"], "not a key"),
        (["--from", "http://h", "--key-env", "UNSET_KEY"], "not set"),
        (["--from", "http://h", "--key-env", "A", "--key-env", "B"], "once for all"),
        (["--from", "http://u:secret@h"], "password"),
        (["--from", "u:secret@h:99999"], "password"),
        (["--from", ""], "http://host:port"),
        (["--from", "ftp://h"], "http://host:port"),
        (["--from", "http://h:99999"], "ort"),
        (["--from", "a b"], "no URL"),
        (["--gguf", "none.gguf"], "no file"),
    ],
)
async def test_what_cannot_be_done_is_one_line(arguments: list[str], words: str) -> None:
    result = await run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stderr
    assert "sk-12" not in result.stderr


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
        (lists(Play([b'{"data": [', None])), "does not speak HTTP"),
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
    assert "refuses the key in GPU_KEY" in result.stderr
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
    assert "nobody listens" in result.stderr
    text = (folder / "routing.yaml").read_text()
    assert list(config(text).engines) == ["ollama"]
    assert f'  # local: {{kind: remote, url: "{dead}/v1"}}' in text
    by_hand = parse_config(text.replace("  # local: {", "  local: {"), "routing.yaml", {}).file
    assert list(by_hand.engines) == ["ollama", "local"]


async def test_a_file_beside_servers_is_served_by_a_worker(folder: Path) -> None:
    (folder / "models").mkdir()
    toy = (ROOT / "engines/demo/qwen.gguf").read_bytes()
    (folder / "models" / "mine.gguf").write_bytes(toy)
    async with running(server := lists(OLLAMA)):
        result = await run("--from", server.address, "--gguf", "models/mine.gguf")
    assert result.exit_code == 0
    assert "3 models on 2 engines" in result.stdout
    file = config((folder / "routing.yaml").read_text())
    model = file.models["demo-qwen"]
    assert (model.engine, model.weights) == ("cpu", "./models/mine.gguf")
    assert model.catalogue == "demo-qwen"  # its header says so; its path does not
    assert model.embeddings is None  # it makes them and answers too; its header says so


async def test_a_file_whose_name_a_server_has_taken_gets_a_tidy_name(folder: Path) -> None:
    for name in ("house", "house-q8_0"):
        (folder / f"{name}.gguf").write_bytes(GgufFile().bytes())
    async with running(server := lists(listing("house", "house-q8-0"))):
        weights = ("--gguf", "house.gguf", "--gguf", "house-q8_0.gguf")
        assert (await run("--from", server.address, *weights)).exit_code == 0
    file = config((folder / "routing.yaml").read_text())
    assert list(file.models) == ["house", "house-q8-0", "house-local", "house-q8-0-local"]


async def test_paths_are_written_so_that_the_file_finds_them(folder: Path) -> None:
    toy = ROOT / "engines/demo/coder.gguf"
    (folder / "conf").mkdir()
    (folder / "toy.gguf").write_bytes(toy.read_bytes())
    await run("conf/routing.yaml", "--gguf", "toy.gguf")
    file = config((folder / "conf/routing.yaml").read_text())
    assert file.models["demo-coder"].weights == str(folder / "toy.gguf")
    absolute = str(folder / "toy.gguf")
    assert "weights: ./toy.gguf" in (await run("-", "--gguf", absolute)).stdout


async def test_a_file_that_is_no_gguf_is_one_line_and_nobody_is_asked(folder: Path) -> None:
    (folder / "x.gguf").write_bytes(b"PK\x03\x04")
    async with running(server := lists(OLLAMA)):
        result = await run("--from", server.address, "--gguf", "x.gguf")
        assert server.asked == []
    assert result.exit_code == 2
    assert result.stderr == "--gguf x.gguf: x.gguf is no GGUF file\n"


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


def test_what_was_pulled_is_served_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "hub", tmp_path / "cache" / "weights")
    nothing = CliRunner().invoke(init, ["--pulled"])
    assert (nothing.exit_code, nothing.output.count("\n")) == (1, 1)
    assert "fetch a model with `weighbridge pull NAME`" in nothing.output
    toy = weights_path("qwen").read_bytes()
    cached(store, "Qwen/Qwen2.5-0.5B-Instruct-GGUF", {"q-q4_0.gguf": toy})
    hinted = CliRunner().invoke(init, ["demo.yaml"])
    assert "`weighbridge init --pulled` writes one for what you have pulled." in hinted.output
    assert CliRunner().invoke(init, ["--pulled"]).exit_code == 0
    file = load_config(tmp_path / "routing.yaml", {}).file
    assert file.models["qwen2.5-0.5b"].weights == "Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_0"
    assert CliRunner().invoke(check, []).output.startswith("Nothing is wrong")
