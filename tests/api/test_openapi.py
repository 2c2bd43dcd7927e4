"""The API's description is whole, valid, and what the gateway does."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import SecretStr
from starlette.routing import Route

from gateway.api.generation import GENERATION
from gateway.api.openapi import openapi_document
from gateway.api.pages import router
from gateway.middleware import DoorRules
from tests.support.answers import STREAM, as_vllm
from tests.support.scripted import Play, ScriptedEngine, events_play, json_play, running
from tests.support.serving import Served, serving
from tests.support.streams import events_of

DOCUMENT = openapi_document()
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
CHAT, MODELS = "/v1/chat/completions", "/v1/models"
ASK: dict[str, Any] = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer k-secret"}
KEYED = DoorRules(key=SecretStr("k-secret"), hosts=frozenset({"127.0.0.1"}))


def config(engine: ScriptedEngine) -> str:
    return f"""
gateway: {{body_limit_bytes: 2000, queue_timeout_s: 1}}
engines: {{lab: {{kind: remote, url: "{engine.url}", health_interval_s: 60}}}}
models: {{big: {{engine: lab, upstream_model: toy, aliases: [gpt-4o]}}}}
"""


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from nodes(inner)


def is_like(schema: dict[str, Any], value: Any) -> None:
    """Hold a value to a schema of the document."""
    Draft202012Validator(schema | {"components": DOCUMENT["components"]}).validate(value)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = set()
    for node in nodes(DOCUMENT):
        if isinstance(node.get("$ref"), str):
            target: Any = DOCUMENT
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            used.add(node["$ref"].rpartition("/")[2])
    assert used == {*DOCUMENT["components"]["schemas"], *DOCUMENT["components"]["headers"]}


def test_the_schemas_hold_to_json_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_head_says_what_this_is() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["summary"]
    assert DOCUMENT["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert len({operation["operationId"] for *_, operation in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_answer_has_a_meaning_and_a_schema(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    named = [one["name"] for one in operation.get("parameters", ())]
    assert named == (["name"] if "{name}" in path else [])
    assert {"200", "403", "500"} <= set(operation["responses"])
    assert "422" not in operation["responses"]
    for response in operation["responses"].values():
        assert response["description"].strip(". ")
        assert all(content["schema"] for content in response["content"].values())
    assert (method == "post") == ("requestBody" in operation)


@pytest.mark.parametrize("row", GENERATION, ids=lambda row: row.path)
def test_the_examples_are_requests(row: Any) -> None:
    content = DOCUMENT["paths"][row.path]["post"]["requestBody"]["content"]["application/json"]
    assert content["examples"]
    for example in content["examples"].values():
        is_like(content["schema"], example["value"])


def test_every_route_is_described_and_nothing_else_is() -> None:
    routes = [route for route in router.routes if isinstance(route, Route)]
    methods = {
        (route.path.replace(":path", ""), method.lower())
        for route in routes
        for method in route.methods or ()
        if method != "HEAD"
    }
    methods |= {(row.path, "post") for row in GENERATION}
    assert {(path, method) for path, method, _ in OPERATIONS} == methods


async def meets(served: Served, method: str, path: str, status: int, **sent: Any) -> None:
    """Ask, and hold the answer to its description."""
    answer = await served.http.request(method, path, **sent)
    assert answer.status_code == status, answer.text
    template = path
    if path.startswith(f"{MODELS}/"):
        verb = path.rpartition("/")[2]
        template = f"{MODELS}/{{name}}" + (f"/{verb}" if verb in ("load", "unload") else "")
    response = DOCUMENT["paths"][template][method.lower()]["responses"][str(status)]
    media = answer.headers["content-type"].partition(";")[0]
    assert media in response["content"], (path, status)
    assert "x-request-id" in answer.headers
    schema = response["content"][media]["schema"]
    if media == "application/json":
        is_like(schema, answer.json())
    elif media == "text/event-stream":
        for event in events_of(answer.text):
            is_like(schema, event)


def by_path(heard: Any) -> Play:
    if heard.path == "/v1/embeddings":
        rows = [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return json_play({"object": "list", "model": "toy", "data": rows, "usage": usage})
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    if heard.path == "/v1/rerank":
        results = [{"index": 0, "document": {"text": "a"}, "relevance_score": 0.5}]
        return json_play({"id": "r", "model": "toy", "usage": usage, "results": results})
    if heard.path == "/v1/score":
        scores = [{"index": 0, "object": "score", "score": 0.5}]
        rest = {"id": "s", "object": "list", "created": 1, "usage": usage}
        return json_play(rest | {"model": "toy", "data": scores})
    return events_play(*STREAM) if heard.json().get("stream") else as_vllm(heard)


async def test_what_a_gateway_answers_is_what_is_described() -> None:
    async with running(ScriptedEngine(answer=by_path)) as engine, serving(config(engine)) as served:
        await served.ready()
        for path in (MODELS, f"{MODELS}/gpt-4o", f"{MODELS}/auto", "/health", "/ready", "/metrics"):
            await meets(served, "GET", path, 200)
        await meets(served, "GET", f"{MODELS}/nobody", 404)
        await meets(served, "POST", f"{MODELS}/big/load", 409, json={})
        await meets(served, "POST", f"{MODELS}/nobody/unload", 404, json={})
        await meets(served, "GET", "/docs", 200)
        await meets(served, "GET", "/openapi.json", 200)
        await meets(served, "POST", CHAT, 200, json=ASK)
        await meets(served, "POST", CHAT, 200, json=ASK | {"stream": True})
        await meets(served, "POST", "/v1/embeddings", 200, json={"model": "big", "input": "a"})
        ranks = {"model": "big", "query": "a", "documents": ["a"]}
        await meets(served, "POST", "/v1/rerank", 200, json=ranks)
        pair = {"model": "big", "text_1": "a", "text_2": "b"}
        await meets(served, "POST", "/v1/score", 200, json=pair)
        await meets(served, "POST", "/v1/route", 200, json={"text": "Hola"})
        await meets(served, "POST", "/v1/route", 400, json={"words": "Hola"})
        await meets(served, "POST", CHAT, 400, json=ASK | {"temperature": 9})
        await meets(served, "POST", CHAT, 404, json=ASK | {"model": "nobody"})
        await meets(served, "POST", CHAT, 413, json=ASK | {"user": "x" * 2_000})
        await meets(
            served, "POST", CHAT, 415, content=b"{}", headers={"content-type": "text/plain"}
        )
        await meets(served, "GET", MODELS, 403, headers={"host": "evil.example"})
        await meets(served, "POST", CHAT, 403, json=ASK, headers={"origin": "http://evil.example"})


async def test_what_an_engine_that_fails_leads_to_is_described() -> None:
    async with running(ScriptedEngine()) as engine, serving(config(engine)) as served:
        await served.ready()
        engine.plays.append(json_play({"error": {"message": "busy"}}, 429))
        await meets(served, "POST", CHAT, 429, json=ASK)
        engine.plays.append(json_play({"error": {"message": "broken"}}, 500))
        await meets(served, "POST", CHAT, 502, json=ASK)


async def test_a_gateway_that_serves_nothing_answers_as_described() -> None:
    async with serving(config(ScriptedEngine(port=9))) as served:
        await meets(served, "GET", "/ready", 503)
        await meets(served, "POST", CHAT, 503, json=ASK)


async def test_with_a_key_the_description_is_open_and_tells_nothing_configured() -> None:
    async with serving(config(ScriptedEngine(port=9)), KEYED) as served:
        for path in ("/docs", "/openapi.json"):
            open_to_all = await served.http.get(path)
            assert open_to_all.status_code == 200
            assert open_to_all.content == (await served.http.get(path, headers=KEY)).content
            for secret in ("k-secret", "gpt-4o", '"big"', "127.0.0.1:9", "upstream", "lab"):
                assert secret not in open_to_all.text.replace("available", "")
            refused = await served.http.get(path, headers={"host": "evil.example"})
            assert refused.status_code == 403
        await meets(served, "GET", MODELS, 401)
        await meets(served, "POST", CHAT, 401, json=ASK)
        await meets(served, "GET", "/ready", 503)
        assert (await served.http.get("/redoc", headers=KEY)).status_code == 404
