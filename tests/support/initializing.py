"""Servers with lists of models as real ones give them, and `weighbridge init` run."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner, Result

from gateway.cli.init import init
from gateway.config.checks import warnings_in
from gateway.config.loading import parse_config
from gateway.config.schema import RoutingFile
from tests.support.scripted import Heard, Play, ScriptedEngine, json_play

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
