"""`priority` in a body reaches those engines alone that are said to take it."""

import pytest

from tests.support.answers import as_vllm
from tests.support.scripted import ScriptedEngine, running
from tests.support.serving import serving


@pytest.mark.parametrize(("key", "reaches"), [("", None), ("takes_priority: true", -3)])
async def test_priority_reaches_only_an_engine_that_takes_it(key: str, reaches: int | None) -> None:
    engine = ScriptedEngine(answer=as_vllm)
    async with (
        running(engine),
        serving(
            f"engines: {{lab: {{kind: remote, url: '{engine.url}', {key}}}}}\n"
            "models: {toy: {engine: lab}}\n"
        ) as served,
    ):
        await served.ready()
        body = {"model": "toy", "prompt": "x", "priority": -3, "temperature": 0.50}
        answer = await served.http.post("/v1/completions", json=body)
        assert answer.status_code == 200
        told = engine.heard[-1].json()
        assert told.get("priority") == reaches
        assert told["temperature"] == 0.5
