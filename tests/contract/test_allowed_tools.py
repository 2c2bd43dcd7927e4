"""Requests that offer tools and allow some of them: on a real model, before a scripted engine."""

from typing import Any

import httpx
import pytest

from tests.support.contract import CHAT, Contract, user
from tests.support.scripted import ScriptedEngine, json_play, running
from tests.support.serving import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

CITY: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": CITY}}
    for name in ("get_time", "get_weather")
]
ASK: Any = user("What is the weather in Berlin?")


def allowing(*names: str, mode: str = "required") -> dict[str, Any]:
    named = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named}}


async def posted(engines: Contract, path: str = CHAT, **body: Any) -> httpx.Response:
    await engines.subject("demo-qwen")
    return await engines.served.http.post(path, json={"model": "demo-qwen", **body})


async def test_a_model_calls_what_is_allowed_alone(engines: Contract) -> None:
    told = (
        await posted(engines, messages=ASK, tools=TOOLS, tool_choice=allowing("get_time"))
    ).json()
    calls = told["choices"][0]["message"]["tool_calls"]
    assert {call["function"]["name"] for call in calls} == {"get_time"}


async def test_the_responses_api_says_it_in_its_own_words(engines: Contract) -> None:
    tools = [{"type": "function", **tool["function"]} for tool in TOOLS]
    choice = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "get_weather"}],
    }
    asked = {"input": ASK[0]["content"], "tools": tools, "tool_choice": choice}
    told = (await posted(engines, "/v1/responses", **asked)).json()
    assert {item["name"] for item in told["output"]} == {"get_weather"}
    assert told["tool_choice"] == choice


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (allowing("get_rain"), "'get_rain'"),
        (allowing(), "no tool"),
        (allowing("get_time", mode="perhaps"), "'mode'"),
        ({"type": "allowed_tools"}, "'mode'"),
    ],
)
async def test_what_cannot_be_kept_to_is_refused_by_name(
    engines: Contract, choice: dict[str, Any], said: str
) -> None:
    answer = await posted(engines, messages=ASK, tools=TOOLS, tool_choice=choice)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "tool_choice"
    assert said in answer.json()["error"]["message"]


async def test_an_engine_gets_them_with_the_mode_and_all_else_as_it_came() -> None:
    engine = ScriptedEngine(answer=lambda _: json_play({"error": {"message": "No."}}, 400))
    body = {"model": "toy", "messages": ASK, "tools": TOOLS, "x": [1.50]}
    lab = "engines: {lab: {kind: remote, url: 'URL'}}\nmodels: {toy: {engine: lab}}"
    async with running(engine), serving(lab.replace("URL", engine.url)) as served:
        await served.ready()
        choice = allowing("get_weather", "get_weather", mode="auto")
        await served.http.post(CHAT, json=body | {"tool_choice": choice})
    told: Any = engine.heard[-1].json()
    assert (told["tools"], told["tool_choice"]) == (TOOLS[1:], "auto")
    assert told["x"] == [1.5]
