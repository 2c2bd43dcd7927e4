"""LoRA adapters behind the gateway: models to clients and rules, on the replicas of their model."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from engines.demo import weights_path
from tests.support.adapters import write_adapter
from tests.support.contract import user
from tests.support.serving import Served, serving
from tests.support.streams import events_of

QWEN = weights_path("qwen")
CHAT = "/v1/chat/completions"
CONFIG = """
engines: {{cpu: {{kind: llamacpp, context: 512}}}}
models:
  base: {{engine: cpu, weights: "demo:qwen"}}
  sql: {{engine: cpu, weights: "{file}", adapter_of: base, aliases: [gpt-sql]}}
  none: {{engine: cpu, weights: "{file}", adapter_of: base, adapter_scale: 0}}
routes:
  - {{name: code, when: {{task: code}}, use: sql}}
  - {{name: rest, use: base}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    file = write_adapter(tmp_path_factory.mktemp("adapters") / "sql.gguf", QWEN, seed=1)
    async with serving(CONFIG.format(file=file)) as gateway:
        await gateway.ready()
        yield gateway


@pytest.mark.asyncio(loop_scope="module")
async def test_each_name_gets_its_own_answer_from_one_replica(served: Served) -> None:
    said = {}
    for name in ("base", "sql", "none", "gpt-sql"):
        body = {"model": name, "messages": user("hello"), "temperature": 0, "max_tokens": 8}
        answer = await served.http.post(CHAT, json=body)
        told = answer.json()
        said[name] = told["choices"][0]["message"]["content"]
        served_name = "sql" if name == "gpt-sql" else name
        assert (told["model"], answer.headers["x-weighbridge-model"]) == (served_name, served_name)
    assert said["base"] == said["none"] != said["sql"] == said["gpt-sql"]
    assert len(list(served.gateway.fleet)) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_stream_carries_the_adapters_name(served: Served) -> None:
    body = {"model": "sql", "messages": user("hello"), "max_tokens": 4, "stream": True}
    events = events_of((await served.http.post(CHAT, json=body)).text)
    assert {event["model"] for event in events} == {"sql"}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_rule_may_choose_an_adapter(served: Served) -> None:
    text = "Write a Python function that reverses a list."
    answer = await served.http.post(CHAT, json={"messages": user(text), "max_tokens": 2})
    assert answer.headers["x-weighbridge-model"] == "sql"


@pytest.mark.asyncio(loop_scope="module")
async def test_adapters_are_listed_with_their_parent(served: Served) -> None:
    rows = {row["id"]: row for row in (await served.http.get("/v1/models")).json()["data"]}
    assert rows["sql"]["parent"] == rows["none"]["parent"] == rows["gpt-sql"]["parent"] == "base"
    assert "parent" not in rows["base"]
    assert rows["sql"]["context"] == 512
    assert rows["sql"]["state"] == "ready"


@pytest.mark.asyncio(loop_scope="module")
async def test_an_adapter_makes_no_embeddings_here_either(served: Served) -> None:
    answer = await served.http.post("/v1/embeddings", json={"model": "sql", "input": "hello"})
    assert answer.status_code == 400
