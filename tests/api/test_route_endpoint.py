"""`POST /v1/route`: the decision of this moment, over HTTP, with nothing sent."""

from typing import Any

from pydantic import SecretStr

from gateway.middleware import DoorRules
from tests.support.scripted import ScriptedEngine, running
from tests.support.serving import serving

KEYED = DoorRules(key=SecretStr("k-secret"), hosts=frozenset({"127.0.0.1"}))


def config(engine: ScriptedEngine) -> str:
    return f"""
gateway: {{body_limit_bytes: 2000}}
engines:
  up: {{kind: remote, url: "{engine.url}"}}
  gone: {{kind: remote, url: "http://127.0.0.1:9/v1"}}
models: {{big: {{engine: up}}, away: {{engine: gone}}}}
routes:
  - {{name: code, when: {{task: code}}, use: [away, big]}}
  - {{name: team, when: {{header: {{x-team: red}}}}, use: [big]}}
  - {{name: rest, use: [away]}}
"""


async def test_the_decision_is_told_by_headers_and_by_who_is_up_and_nothing_is_sent() -> None:
    async with running(ScriptedEngine(models=("big",))) as engine, serving(config(engine)) as it:
        await it.ready("big")
        asked: dict[str, Any] = {"text": "Write a Python function that adds two numbers."}
        told = (await it.http.post("/v1/route", json=asked)).json()
        assert (told["rule"], told["models"]) == ("code", ["big", "away"])
        assert any("away comes last" in reason for reason in told["choice_reasons"])
        body = {"messages": [{"role": "user", "content": "hola"}]}
        told = (await it.http.post("/v1/route", json=body, headers={"x-team": "red"})).json()
        assert (told["rule"], told["asked"], told["language"]) == ("team", "auto", "es")
        assert [rule["matched"] for rule in told["rules"]] == [False, True, True]
        assert engine.heard == []


async def test_what_cannot_be_explained_is_refused_as_a_request_would_be() -> None:
    async with serving(config(ScriptedEngine(port=9))) as it:
        answer = await it.http.post("/v1/route", json={"text": "hola", "model": "bog"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        answer = await it.http.post("/v1/route", json={"text": "x" * 3_000})
        assert answer.status_code == 413
        assert (await it.http.post("/v1/route", json=["hola"])).status_code == 400
        turns = [{"role": "nobody", "content": "hola"}]
        answer = await it.http.post("/v1/route", json={"input": turns})
        assert answer.json()["error"]["param"] == "input[0].role"


async def test_it_needs_the_key() -> None:
    async with serving(config(ScriptedEngine(port=9)), KEYED) as it:
        assert (await it.http.post("/v1/route", json={"text": "hola"})).status_code == 401
