"""A request's constraints reach selection from its headers and from its body."""

from typing import Any

from tests.support.answers import as_vllm
from tests.support.scripted import ScriptedEngine, running
from tests.support.serving import serving

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello there, how are you?"}]}
CHAT = "/v1/chat/completions"


def config(engine: ScriptedEngine) -> str:
    return f"""
engines: {{lab: {{kind: remote, url: "{engine.url}"}}}}
models:
  big: {{engine: lab, upstream_model: toy, catalogue: llama-3.1-70b}}
  open: {{engine: lab, upstream_model: toy, catalogue: qwen2.5-7b}}
routes: [{{name: all, use: [big, open]}}]
"""


async def test_headers_and_metadata_choose_among_the_models_and_reach_the_engine() -> None:
    async with (
        running(ScriptedEngine(answer=as_vllm)) as engine,
        serving(config(engine)) as served,
    ):
        await served.ready()
        plain = await served.http.post(CHAT, json=ASK)
        assert plain.headers["x-weighbridge-model"] == "big"
        by_header = await served.http.post(
            CHAT, json=ASK, headers={"X-Weighbridge-Licence": "open"}
        )
        assert by_header.headers["x-weighbridge-model"] == "open"
        metadata = {"weighbridge_max_parameters": "10B", "team": "red"}
        by_body = await served.http.post(CHAT, json=ASK | {"metadata": metadata})
        assert by_body.headers["x-weighbridge-model"] == "open"
        assert engine.heard[-1].json()["metadata"] == metadata
        refused = await served.http.post(CHAT, json=ASK | {"model": "big", "metadata": metadata})
        told = refused.json()["error"]
        assert (refused.status_code, told["code"]) == (400, "no_model_meets_constraints")
        route = {"text": "Hello", "metadata": metadata}
        assert (await served.http.post("/v1/route", json=route)).json()["models"] == ["open"]


async def test_what_was_settled_before_for_a_model_does_not_pass_over_a_demand() -> None:
    async with (
        running(ScriptedEngine(answer=as_vllm)) as engine,
        serving(config(engine)) as served,
    ):
        await served.ready()
        named = ASK | {"model": "big"}
        demands = named | {"metadata": {"weighbridge_max_parameters": "10B"}}
        long = named | {"messages": [{"role": "user", "content": "word " * 200_000}]}
        for _ in range(2):
            plain = await served.http.post(CHAT, json=named)
            assert (plain.status_code, plain.headers["x-weighbridge-rule"]) == (200, "name")
            by_header = {"X-Weighbridge-Licence": "open"}
            assert (await served.http.post(CHAT, json=named, headers=by_header)).status_code == 400
            assert (await served.http.post(CHAT, json=demands)).status_code == 400
            assert (await served.http.post(CHAT, json=long)).status_code == 400
