"""A conversation stays with the model that has read it, where scores decide."""

from typing import Any

from gateway.domain import Outcome
from tests.support.answers import as_vllm
from tests.support.fleets import account
from tests.support.scripted import ScriptedEngine, running
from tests.support.serving import serving

RIVERS: list[dict[str, Any]] = [{"role": "user", "content": "Tell me of rivers and of the sea."}]
HILLS: list[dict[str, Any]] = [{"role": "user", "content": "And what of hills and of valleys?"}]
FLOW = {"role": "assistant", "content": "They flow."}


def config(engine: ScriptedEngine) -> str:
    return f"""
engines: {{lab: {{kind: remote, url: "{engine.url}"}}}}
models:
  a: {{engine: lab, upstream_model: toy}}
  b: {{engine: lab, upstream_model: toy}}
routes: [{{name: both, use: {{any: [a, b]}}}}]
"""


async def test_the_model_that_answered_before_is_asked_again() -> None:
    async with (
        running(ScriptedEngine(answer=as_vllm)) as engine,
        serving(config(engine)) as served,
    ):
        await served.ready()

        async def served_by(turns: list[dict[str, Any]]) -> str:
            answer = await served.http.post("/v1/chat/completions", json={"messages": turns})
            return answer.headers["x-weighbridge-model"]

        assert await served_by(RIVERS) == "a"  # alike in everything, the first is taken
        busy = served.gateway.fleet.lease("a", account())
        assert busy is not None
        assert await served_by(HILLS) == "b"
        busy.end(Outcome.OK)
        assert await served_by([*HILLS, FLOW, *RIVERS]) == "b"
        assert await served_by([*RIVERS, FLOW, *HILLS]) == "a"
        asked = {"messages": [*HILLS, FLOW, *RIVERS]}
        told = (await served.http.post("/v1/route", json=asked)).json()
        assert {one["model"]: one["parts"]["cache"] for one in told["scores"]} == {"b": 1, "a": 0}
