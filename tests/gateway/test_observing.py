"""`mode: observe`: the named model serves, whom the rules would have asked is noted, no text is."""

from pathlib import Path
from typing import Any

from gateway.observe.journal import Observed, read_journal
from tests.support.answers import STREAM, as_vllm
from tests.support.scripted import Heard, Play, ScriptedEngine, events_play, running
from tests.support.serving import Served, serving
from tests.support.waiting import until

CHAT = "/v1/chat/completions"
SECRET = "Schreibe mir ein Gedicht über den geheimen Garten."
ASK: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": SECRET}],
    "user": "u-secret",
}


def config(engine: ScriptedEngine, file: Path, mode: str = "observe") -> str:
    return f"""
mode: {mode}
observe: {{file: "{file}"}}
engines: {{lab: {{kind: remote, url: "{engine.url}", health_interval_s: 60}}}}
models:
  big: {{engine: lab, upstream_model: toy, aliases: [gpt-4o]}}
  poet: {{engine: lab, upstream_model: toy}}
  vectors: {{engine: lab, upstream_model: toy, embeddings: true}}
routes:
  - {{name: verse, when: {{language: de}}, use: poet}}
  - {{name: rest, use: big}}
"""


def answer(heard: Heard) -> Play:
    return events_play(*STREAM) if heard.json().get("stream") else as_vllm(heard)


async def noted(path: Path, count: int) -> list[Observed]:
    async def enough() -> bool:
        return len(list(read_journal([path]))) >= count

    await until(enough)
    return list(read_journal([path]))


async def test_whom_the_rules_would_have_asked_is_noted_beside_who_served(tmp_path: Path) -> None:
    path = tmp_path / "seen.jsonl"
    async with (
        running(ScriptedEngine(answer=answer)) as engine,
        serving(config(engine, path)) as served,
    ):
        await served.ready()
        told = await served.http.post(CHAT, json=ASK)
        assert told.headers["x-weighbridge-model"] == "big"
        assert told.headers["x-weighbridge-rule"] == "alias"
        await served.http.post(CHAT, json=ASK | {"stream": True, "model": "poet"})
        first, second = await noted(path, 2)
        assert (first.asked, first.model, first.would, first.rule) == (
            "gpt-4o",
            "big",
            "poet",
            "verse",
        )
        assert (first.language, first.task, first.endpoint) == ("de", "writing", "chat")
        assert first.completion_tokens > 0
        assert (first.duration_s > 0, first.first_token_s) == (True, None)
        assert (second.model, second.would) == ("poet", "poet")
        assert second.first_token_s is not None
        assert 0 < second.first_token_s <= second.duration_s
        text = path.read_text(encoding="utf-8")
        for kept_out in ("geheim", "Garten", "u-secret"):
            assert kept_out not in text


async def test_requests_to_auto_and_those_that_failed_are_not_noted(tmp_path: Path) -> None:
    path = tmp_path / "seen.jsonl"
    async with (
        running(ScriptedEngine(answer=answer)) as engine,
        serving(config(engine, path)) as served,
    ):
        await served.ready()
        assert (await served.http.post(CHAT, json=ASK | {"model": "auto"})).status_code == 200
        assert (await served.http.post(CHAT, json=ASK | {"model": "none"})).status_code == 404
        assert (await served.http.post(CHAT, json=ASK | {"model": "big"})).status_code == 200
        (only,) = await noted(path, 1)
        assert only.asked == "big"


async def test_without_the_mode_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "seen.jsonl"

    async def ask(served: Served) -> None:
        await served.ready()
        assert (await served.http.post(CHAT, json=ASK)).status_code == 200
        assert served.gateway.journal is None

    async with (
        running(ScriptedEngine(answer=answer)) as engine,
        serving(config(engine, path, mode="route")) as served,
    ):
        await ask(served)
    assert not path.exists()
