"""The engines of the contract suite, and how a test speaks to one of them."""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.recorded import CONTEXT as RECORDED_CONTEXT
from tests.support.recorded import MODEL, RecordedVllm
from tests.support.scripted import running
from tests.support.serving import WAIT_S, Served, serving
from tests.support.streams import Event, events_of
from tests.support.vllm import CONTEXT as VLLM_CONTEXT
from tests.support.vllm import LLAMA, QWEN, START_S, engine, make_toys, vllm_venv
from tests.support.waiting import until

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"

VLLM = (QWEN, LLAMA)

_ENGINES = """
engines:
  cpu: {{kind: llamacpp, parallel: 2, batch_tokens: 32}}
  lab: {{kind: remote, url: "{url}", health_interval_s: 60}}
{engines}
models:
  demo-qwen: {{engine: cpu, weights: "demo:qwen", aliases: [small]}}
  demo-llama: {{engine: cpu, weights: "demo:llama"}}
  demo-coder: {{engine: cpu, weights: "demo:coder"}}
  recorded: {{engine: lab, upstream_model: {upstream}}}
{models}
"""


@dataclass(frozen=True)
class Subject:
    """One engine under the contract, through a gateway or (`direct`) spoken to by itself.

    `model` is the name that its answers carry; `context` is in tokens. `defaults` are fields that a
    request has unless a test gives them: vLLM draws by chance where nobody says otherwise.
    """

    http: httpx.AsyncClient
    model: str
    context: int
    direct: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_vllm(self) -> bool:
        """Whether it is real vLLM."""
        return self.model in VLLM

    async def post(self, path: str = CHAT, **body: Any) -> httpx.Response:
        return await self.http.post(path, json={"model": self.model, **self.defaults} | body)

    async def whole(self, text: str, **fields: Any) -> dict[str, Any]:
        """Return a chat answer that is not streamed."""
        answer = await self.post(messages=user(text), **fields)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def stream(self, text: str, **fields: Any) -> list[Event]:
        """Return the events of a streamed chat answer."""
        answer = await self.post(messages=user(text), stream=True, **fields)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        return events_of(answer.text)

    async def figures(self) -> dict[str, float]:
        """Return what `/metrics` says of this model, by name; requests by their outcome."""
        found: dict[str, float] = {}
        text = (await self.http.get("/metrics")).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if self.direct or sample.labels.get("model") == self.model:
                    name = sample.name.removeprefix("weighbridge_")
                    found[sample.labels.get("outcome", name)] = sample.value
        return found

    async def busy(self) -> float:
        """Return how many requests the engine runs or holds, and the gateway has in flight."""
        seen = await self.figures()
        head = "worker" if self.direct else "engine"
        own = seen[f"{head}_requests_running"] + seen[f"{head}_requests_waiting"]
        return own + seen.get("requests_in_flight", 0)

    async def idle(self) -> None:
        """Wait until nothing runs anywhere."""

        async def is_idle() -> bool:
            return await self.busy() == 0

        await until(is_idle)


@dataclass(frozen=True)
class Contract:
    """A gateway with every engine behind it."""

    served: Served
    recorded: RecordedVllm

    async def subject(self, model: str) -> Subject:
        await self.served.ready(model, within_s=START_S if model in VLLM else WAIT_S)
        if model in VLLM:
            return Subject(self.served.http, model, VLLM_CONTEXT, defaults={"temperature": 0})
        context = RECORDED_CONTEXT if model == "recorded" else 4_096
        return Subject(self.served.http, model, context)


@asynccontextmanager
async def contract() -> AsyncIterator[Contract]:
    """Serve all engines of the suite until the block ends."""
    venv = vllm_venv()
    with tempfile.TemporaryDirectory() as folder:
        engines, models = ("", "") if venv is None else _with_vllm(venv, Path(folder))
        async with running(RecordedVllm()) as recorded:
            assert isinstance(recorded, RecordedVllm)
            text = _ENGINES.format(url=recorded.url, upstream=MODEL, engines=engines, models=models)
            async with serving(text) as served:
                yield Contract(served, recorded)


def _with_vllm(venv: Path, folder: Path) -> tuple[str, str]:
    """Return the lines for engines and models that add real vLLM, whose models lie in a folder."""
    make_toys(venv, folder)
    models = {QWEN: "qwen2", LLAMA: "llama"}
    lines = [
        f'  {name}: {{engine: gpu, weights: "{folder}/{toy}"}}' for name, toy in models.items()
    ]
    return f"  gpu: {engine(venv)}", "\n".join(lines)


def user(text: str) -> list[dict[str, str]]:
    """Return a conversation of one turn."""
    return [{"role": "user", "content": text}]


def tokens_of(usage: dict[str, Any]) -> dict[str, int]:
    """Return a usage less its details: what the cache spared is no property of an answer."""
    return {name: count for name, count in usage.items() if isinstance(count, int)}
