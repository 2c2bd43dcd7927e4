"""Generation endpoints through a whole gateway, in front of a scripted remote engine."""

from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.answers import DONE, FIRST, STREAM, USAGE, as_vllm, chunk
from tests.support.scripted import (
    CUT,
    Play,
    ScriptedEngine,
    events_play,
    json_play,
    running,
)
from tests.support.serving import Served, serving

ASK: dict[str, object] = {
    "model": "big",
    "messages": [{"role": "user", "content": "Hello there, how are you?"}],
}


def config(*engines: ScriptedEngine, more: str = "") -> str:
    urls = ", ".join(f'"{engine.url}"' for engine in engines)
    return f"""
engines:
  lab: {{kind: remote, url: [{urls}], health_interval_s: 60}}
models:
  big: {{engine: lab, upstream_model: toy, aliases: [gpt-4o]}}
{more}
"""


async def streamed(served: Served, body: dict[str, object]) -> str:
    answer = await served.http.post("/v1/chat/completions", json=body | {"stream": True})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.text


@pytest.mark.parametrize("asked", ["big", "gpt-4o", "auto", None])
async def test_an_answer_carries_the_served_name_whatever_was_asked(asked: str | None) -> None:
    async with running(ScriptedEngine(answer=as_vllm)) as engine, serving(config(engine)) as served:
        body = {key: value for key, value in (ASK | {"model": asked}).items() if value}
        answer = await served.http.post("/v1/chat/completions", json=body)
        told = answer.json()
        assert answer.status_code == 200
        assert told["model"] == "big"
        assert told["usage"] == USAGE | {"prompt_tokens_details": None}
        assert told["choices"][0]["message"]["content"] == "It weighs."
        assert answer.headers["x-weighbridge-model"] == "big"
        assert answer.headers["x-weighbridge-replica"].startswith("lab/127.0.0.1:")
        assert engine.heard[0].json()["model"] == "toy"


async def test_what_was_decided_stands_in_the_headers() -> None:
    more = 'routes: [{name: "andere Länder", when: {language: de}, use: big}]'
    async with (
        running(ScriptedEngine(answer=as_vllm)) as engine,
        serving(config(engine, more=more)) as served,
    ):
        ask = {"messages": [{"role": "user", "content": "Wie wird das Wetter morgen in Bonn?"}]}
        headers = (await served.http.post("/v1/chat/completions", json=ask)).headers
        assert headers["x-weighbridge-language"] == "de"
        assert headers["x-weighbridge-rule"] == "andere L%C3%A4nder"
        assert "x-weighbridge-task" in headers
        named = (await served.http.post("/v1/chat/completions", json=ASK)).headers
        assert named["x-weighbridge-rule"] == "name"
        assert "x-weighbridge-language" not in named


async def test_the_browsers_language_routes_what_is_of_two_languages() -> None:
    more = "routes: [{name: malay, when: {prompt_language: ms}, use: big}]"
    async with (
        running(ScriptedEngine(answer=as_vllm)) as engine,
        serving(config(engine, more=more)) as served,
    ):
        ask = {"messages": [{"role": "user", "content": "Apa maksudnya?"}]}
        malay = {"accept-language": "ms-MY,ms;q=0.9,en;q=0.8"}
        answer = await served.http.post("/v1/chat/completions", json=ask, headers=malay)
        assert answer.headers["x-weighbridge-rule"] == "malay"
        answer = await served.http.post("/v1/chat/completions", json=ask)
        assert answer.headers["x-weighbridge-rule"] != "malay"


async def test_fields_that_nobody_knows_reach_the_engine_byte_for_byte() -> None:
    body = (
        b'{"model":"big","messages":[{"role":"user","content":"\\u00e9"}],"user":"u","store":true,'
        b'"metadata":{"a":"1"},"parallel_tool_calls":false,"x":{"deep":[1.0,2.50,1e3]}}'
    )
    async with running(ScriptedEngine(answer=as_vllm)) as engine, serving(config(engine)) as served:
        sent = await served.http.post(
            "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
        )
        assert sent.status_code == 200
        assert engine.heard[0].body == body.replace(b'"big"', b'"toy"')


async def test_a_stream_is_passed_on_and_its_usage_taken_out_again() -> None:
    async with running(ScriptedEngine(answer=as_vllm)) as engine, serving(config(engine)) as served:
        text = await streamed(served, ASK)
        expected = b"".join((*STREAM[:4], DONE)).replace(b'"toy"', b'"big"')
        assert text == expected.decode()
        assert engine.heard[0].json()["stream_options"] == {"include_usage": True}
        metrics = (await served.http.get("/metrics")).text
        assert 'weighbridge_completion_tokens_total{engine="lab",model="big"' in metrics
        sample = next(
            line
            for line in metrics.splitlines()
            if line.startswith("weighbridge_completion_tokens_total{")
        )
        assert sample.endswith(" 6.0")


async def test_a_client_that_asks_for_usage_gets_it() -> None:
    async with running(ScriptedEngine(answer=as_vllm)) as engine, serving(config(engine)) as served:
        text = await streamed(served, ASK | {"stream_options": {"include_usage": True}})
        assert text == b"".join(STREAM).replace(b'"toy"', b'"big"').decode()


async def test_a_stream_cut_in_the_middle_ends_with_an_error_and_no_done() -> None:
    async with running(ScriptedEngine()) as engine, serving(config(engine)) as served:
        engine.plays.append(events_play(FIRST, chunk("It "), CUT))
        text = await streamed(served, ASK)
        *_, last = text.strip().split("\n\n")
        error = msgspec.json.decode(last.removeprefix("data: "))["error"]
        assert error["code"] == "engine_error"
        assert "[DONE]" not in text
        assert await outcomes(served) == {"engine_error": 1}


async def test_a_stream_that_ends_before_its_first_event_is_tried_elsewhere() -> None:
    async with (
        running(ScriptedEngine(answer=lambda _: events_play(CUT))) as broken,
        running(ScriptedEngine(answer=as_vllm)) as well,
        serving(config(broken, well)) as served,
    ):
        await served.ready()
        for _ in range(2):
            assert "weighs." in await streamed(served, ASK)
        assert len(broken.heard) == 1
        assert len(well.heard) == 2


async def test_an_error_event_that_comes_first_becomes_a_status() -> None:
    error = b'data: {"error":{"message":"EngineCore died","type":"x","code":500}}\n\n'
    async with running(ScriptedEngine()) as engine, serving(config(engine)) as served:
        engine.plays.append(events_play(error, DONE))
        answer = await served.http.post("/v1/chat/completions", json=ASK | {"stream": True})
        assert answer.status_code == 502
        assert answer.headers["x-should-retry"] == "false"


FAILURES = [
    (400, {"error": {"message": "no such role", "param": "messages"}}, 400, None),
    (400, {"error": {"message": "maximum context length is 5"}}, 400, "context_length_exceeded"),
    (401, {"error": "Unauthorized"}, 502, "engine_error"),
    (404, {"detail": "Not Found"}, 502, "engine_error"),
    (429, {"error": {"message": "full"}}, 429, "rate_limited"),
    (500, {"error": {"message": "boom"}}, 502, "engine_error"),
    (504, {}, 504, "engine_timeout"),
]


@pytest.mark.parametrize(("status", "body", "ours", "code"), FAILURES)
async def test_an_engines_error_becomes_one_that_openai_clients_read(
    status: int, body: object, ours: int, code: str | None
) -> None:
    async with running(ScriptedEngine()) as engine, serving(config(engine)) as served:
        engine.plays.append(json_play(body, status))
        answer = await served.http.post("/v1/chat/completions", json=ASK)
        assert answer.status_code == ours
        assert answer.json()["error"]["code"] == code
        assert answer.headers["content-type"] == "application/json"
        assert ("x-should-retry" in answer.headers) == (ours >= 429)
        assert answer.headers["x-request-id"]


async def test_an_answer_that_is_not_json_is_the_engines_fault() -> None:
    async with running(ScriptedEngine()) as engine, serving(config(engine)) as served:
        engine.plays.append(Play([b"<html>"], kind="text/html"))
        answer = await served.http.post("/v1/chat/completions", json=ASK)
        assert answer.status_code == 502


async def test_a_replica_that_fails_is_followed_by_the_next() -> None:
    async with (
        running(ScriptedEngine(answer=lambda _: json_play({}, 503))) as full,
        running(ScriptedEngine(answer=as_vllm)) as well,
        serving(config(full, well)) as served,
    ):
        await served.ready()
        for _ in range(4):
            answer = await served.http.post("/v1/chat/completions", json=ASK)
            assert answer.status_code == 200
        assert await outcomes(served) == {"ok": 4, "engine_error": 1}
        assert len(full.heard) == 1


async def test_what_kills_two_engines_is_not_sent_to_a_third() -> None:
    killers = [ScriptedEngine(answer=lambda _: Play([CUT])) for _ in range(3)]
    async with (
        running(killers[0]) as a,
        running(killers[1]) as b,
        running(killers[2]) as c,
        serving(config(a, b, c)) as served,
    ):
        await served.until(lambda: not served.gateway.fleet.why_not(["big"]))
        answer = await served.http.post("/v1/chat/completions", json=ASK)
        assert answer.status_code == 502
        assert sum(len(engine.heard) for engine in killers) == 2


async def test_auto_goes_on_to_the_next_model_when_the_first_is_down() -> None:
    async with running(ScriptedEngine(answer=as_vllm)) as well:
        text = f"""
engines:
  gone: {{kind: remote, url: "http://127.0.0.1:9/v1"}}
  here: {{kind: remote, url: "{well.url}"}}
models:
  first: {{engine: gone}}
  second: {{engine: here, upstream_model: toy}}
routes: [{{name: all, use: [first, second]}}]
"""
        async with serving(text) as served:
            await served.ready("second")
            answer = await served.http.post("/v1/chat/completions", json=ASK | {"model": "auto"})
            assert answer.json()["model"] == "second"
            named = await served.http.post("/v1/chat/completions", json=ASK | {"model": "first"})
            assert named.status_code == 503
            assert named.json()["error"]["code"] == "model_unavailable"
            assert "cannot connect" in named.json()["error"]["message"]


async def test_embeddings_pass_with_their_usage() -> None:
    vectors = {
        "object": "list",
        "model": "toy",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    async with running(ScriptedEngine()) as engine, serving(config(engine)) as served:
        engine.plays.append(json_play(vectors))
        answer = await served.http.post("/v1/embeddings", json={"model": "big", "input": "a"})
        assert answer.json() == vectors | {"model": "big"}
        assert await outcomes(served) == {"ok": 1}


async def test_ranks_and_scores_pass_with_their_usage_by_name_and_by_auto() -> None:
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    ranked: dict[str, Any] = {"id": "r", "model": "toy", "usage": usage}
    ranked["results"] = [{"index": 0, "document": {"text": "a"}, "relevance_score": 0.5}]
    scored = {"id": "s", "object": "list", "created": 1, "model": "toy", "usage": usage}
    scored["data"] = [{"index": 0, "object": "score", "score": 0.5}]
    asks: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("/v1/rerank", {"query": "q", "documents": ["a", {"text": "b"}]}, ranked),
        ("/v2/rerank", {"query": "q", "documents": ["a"], "max_tokens_per_doc": 9}, ranked),
        ("/v1/score", {"text_1": "q", "text_2": ["a", "b"]}, scored),
    ]
    async with running(ScriptedEngine()) as engine, serving(config(engine)) as served:
        for path, ask, told in asks:
            for name in ("big", "auto"):
                engine.plays.append(json_play(told))
                answer = await served.http.post(path, json=ask | {"model": name})
                assert answer.json() == told | {"model": "big"}
                assert engine.heard[-1].json() == ask | {"model": "toy"}
            assert answer.headers["x-weighbridge-task"] == "rerank"
        assert await outcomes(served) == {"ok": 6}
        assert "weighbridge_prompt_tokens_total" in (await served.http.get("/metrics")).text


BAD = [
    (b"{", 400, "invalid_json", None),
    (b"[]", 400, "invalid_type", None),
    (b'{"model":"big","metadata":' + b"[" * 99_999, 400, "invalid_json", None),
    (b'{"model":"big"}', 400, "missing_required_parameter", "messages"),
    (b'{"model":"big","messages":[]}', 400, "invalid_value", "messages"),
    (
        b'{"model":"big","messages":[{"role":"user","content":"x"}],"temperature":3}',
        400,
        None,
        "temperature",
    ),
    (b'{"model":"big","messages":[{"role":"user","content":"x"}],"n":0}', 400, None, "n"),
    (
        b'{"model":"big","messages":[{"role":"nobody","content":"x"}]}',
        400,
        "invalid_value",
        "messages[0].role",
    ),
    (b'{"model":"big","messages":[{"role":"user"}]}', 400, None, "messages[0].content"),
    (
        b'{"model":"bigg","messages":[{"role":"user","content":"x"}]}',
        404,
        "model_not_found",
        "model",
    ),
]


@pytest.mark.parametrize(("body", "status", "code", "param"), BAD)
async def test_a_wrong_body_is_told_where_it_is_wrong(
    body: bytes, status: int, code: str | None, param: str | None
) -> None:
    async with running(ScriptedEngine()) as engine, serving(config(engine)) as served:
        answer = await served.http.post(
            "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
        )
        error = answer.json()["error"]
        assert answer.status_code == status
        assert error["param"] == param
        assert code is None or error["code"] == code
        assert not engine.heard


async def test_a_body_beyond_the_limit_is_refused_whether_it_says_so_or_not() -> None:
    more = "gateway: {body_limit_bytes: 1000}"
    async with running(ScriptedEngine()) as engine, serving(config(engine, more=more)) as served:
        big = msgspec.json.encode(ASK | {"user": "u" * 2_000})

        async def chunks() -> object:
            yield big

        headers = {"content-type": "application/json"}
        for content in (big, chunks()):
            answer = await served.http.post(
                "/v1/chat/completions",
                content=content,  # type: ignore[arg-type]  # an async generator is one of its types
                headers=headers,
            )
            assert answer.status_code == 413
            assert answer.json()["error"]["code"] == "body_too_large"


async def test_unknown_paths_and_methods_answer_in_the_openai_shape() -> None:
    async with running(ScriptedEngine()) as engine, serving(config(engine)) as served:
        for method, path, status in (
            ("GET", "/v1/nothing", 404),
            ("GET", "/v1/chat/completions", 405),
            ("DELETE", "/v1/models", 405),
        ):
            answer = await served.http.request(method, path)
            assert answer.status_code == status
            assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_a_given_request_id_comes_back_and_a_hostile_one_does_not() -> None:
    async with running(ScriptedEngine(answer=as_vllm)) as engine, serving(config(engine)) as served:
        good = await served.http.post(
            "/v1/chat/completions", json=ASK, headers={"x-request-id": "my-1"}
        )
        assert good.headers["x-request-id"] == "my-1"
        assert engine.heard[0].headers["x-request-id"] == "my-1"
        bad = await served.http.get("/health", headers={"x-request-id": "a b"})
        assert bad.headers["x-request-id"] not in ("", "a b")


async def outcomes(served: Served) -> dict[str, float]:
    """Return how many requests ended in each way, over all replicas; zeros left out."""
    counts: dict[str, float] = {}
    for family in text_string_to_metric_families((await served.http.get("/metrics")).text):
        for sample in family.samples:
            if sample.name == "weighbridge_requests_total" and sample.value:
                outcome = sample.labels["outcome"]
                counts[outcome] = counts.get(outcome, 0) + sample.value
    return counts
