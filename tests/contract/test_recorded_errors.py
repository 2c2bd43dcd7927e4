"""What vLLM was recorded to answer when something was wrong, and what our clients get of it."""

import pytest

from tests.support.contract import CHAT, user
from tests.support.recorded import MODEL, answers, streams
from tests.support.scripted import Play, ScriptedEngine, running
from tests.support.serving import serving
from tests.support.streams import data_of

# Recorded name -> our status, code, param. The engine's own words stay in the message.
EXPECTED = [
    ("unknown model", 502, "engine_error", None),
    ("bad json", 400, None, "body.15"),
    ("too long prompt", 400, "context_length_exceeded", "input_tokens"),
    ("max_tokens too big", 400, "context_length_exceeded", "max_tokens"),
    ("wrong range top_p", 400, None, "top_p"),
    ("empty messages", 400, None, None),
    ("image part on text model", 400, None, None),
    ("embeddings on generate model", 502, "engine_error", None),
    ("wrong method", 502, "engine_error", None),
]


def config(engine: ScriptedEngine) -> str:
    return f"""
engines: {{lab: {{kind: remote, url: "{engine.url}", health_interval_s: 60}}}}
models: {{far: {{engine: lab, upstream_model: {MODEL}}}}}
"""


@pytest.mark.parametrize(("name", "status", "code", "param"), EXPECTED)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_recorded_error_reaches_clients_in_openais_shape(
    name: str, status: int, code: str | None, param: str | None, stream: bool
) -> None:
    recorded = answers()[name]
    play = Play([recorded.body], recorded.status)
    async with (
        running(ScriptedEngine((MODEL,), lambda _: play)) as engine,
        serving(config(engine)) as served,
    ):
        ask = {"model": "far", "messages": user("Hello"), "stream": stream}
        answer = await served.http.post(CHAT, json=ask)
        error = answer.json()["error"]
        assert answer.status_code == status
        assert (error["code"], error["param"]) == (code, param)
        assert ("x-should-retry" in answer.headers) == (status >= 500)
        assert MODEL not in error["message"] or status == 400


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("name", ["chat+usage", "chat+continuous_usage", "chat no usage n=2"])
async def test_a_recorded_stream_reads_the_same_however_it_is_cut(name: str, size: int) -> None:
    body = streams()[name].body
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    play = Play(pieces, kind="text/event-stream; charset=utf-8")
    async with (
        running(ScriptedEngine((MODEL,), lambda _: play)) as engine,
        serving(config(engine)) as served,
    ):
        ask = {"model": "far", "messages": user("Hello"), "stream": True}
        ask |= {"n": 2} if name.endswith("n=2") else {}
        wanted = ask | {"stream_options": {"include_usage": True}}
        with_usage = (await served.http.post(CHAT, json=wanted)).text
        without = (await served.http.post(CHAT, json=ask)).text
    renamed = body.decode().replace(f'"{MODEL}"', '"far"')
    theirs = data_of(renamed)
    assert data_of(without) == [data for data in theirs if b'"choices":[],' not in data]
    assert [data for data in data_of(with_usage) if data in theirs] == theirs
