"""A 404 tells who has lost the way where they probably mean to go."""

import re
from typing import Any

import pytest

from gateway.api.openapi import openapi_document
from gateway.signposts import signpost
from tests.support.serving import serving

NOBODY = """
engines: {lab: {kind: remote, url: "http://127.0.0.1:9/v1"}}
models: {big: {engine: lab}}
"""
LOST = {
    "/chat/completions": "Did you mean /v1/chat/completions? The base URL ends in /v1, once.",
    "/v1/v1/embeddings": "Did you mean /v1/embeddings? The base URL ends in /v1, once.",
    "/openai/deployments/x/chat/completions": "Did you mean /v1/chat/completions?",
    "/v1/chat/completions/": "Did you mean /v1/chat/completions?",
    "//v1/models": "Did you mean /v1/models?",
    "/v1": "base URL for OpenAI's clients ends in /v1",
    "/": "base URL for OpenAI's clients ends in /v1",
    "/responses": "Did you mean /v1/responses?",
    "/v1/responses/resp_1": "Responses are not stored",
    "/v1/messages": "use POST /v1/chat/completions.",
    "/api/chat": "Ollama's own API is not served",
    "/completion": "use POST /v1/completions.",
    "/props": "GET /v1/models",
    "/healthz": "Use GET /health.",
}


@pytest.mark.parametrize(("path", "told"), LOST.items())
def test_who_has_lost_the_way_is_told_where_to_go(path: str, told: str) -> None:
    assert told in signpost(path)


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/favicon.ico", "/metrics/x"])
def test_nobody_is_sent_somewhere_by_a_guess(path: str) -> None:
    assert signpost(path) == ""


@pytest.mark.parametrize("path", LOST)
def test_what_is_named_in_place_of_a_path_is_there(path: str) -> None:
    known = openapi_document()["paths"]
    named = re.findall(r"(?:mean|GET|POST) (/[a-z0-9/.]*[a-z])", signpost(path))
    assert set(named) <= known.keys()


async def test_a_form_that_is_sent_nowhere_is_told_so_and_not_that_it_is_no_json() -> None:
    async with serving(NOBODY) as served:
        form: dict[str, Any] = {"files": {"file": b"RIFF"}, "data": {"model": "whisper-1"}}
        lost = await served.http.post("/v1/audio/transcriptions", **form)
        wrong = await served.http.post("/v1/models", **form)
        here = await served.http.post("/v1/chat/completions", **form)
        by_hand = await served.http.post("/v1/models/big/load", **form)
        told = await served.http.post("/v1/models/auto/load", json={})
    assert (lost.status_code, wrong.status_code) == (404, 405)
    assert (here.status_code, by_hand.status_code) == (415, 415)
    assert told.status_code == 400
    assert "Name the model itself" in told.json()["error"]["message"]


async def test_the_sentence_stands_in_the_error() -> None:
    async with serving(NOBODY) as served:
        answer = await served.http.post("/chat/completions", json={})
        nowhere = await served.http.get("/favicon.ico")
    assert answer.status_code == nowhere.status_code == 404
    assert answer.json()["error"]["message"] == (
        "There is no POST /chat/completions here. Did you mean /v1/chat/completions? "
        "The base URL ends in /v1, once. GET /docs lists what there is."
    )
    told = nowhere.json()["error"]["message"]
    assert told == "There is no GET /favicon.ico here. GET /docs lists what there is."
