"""Engines that break in the middle of a stream, and go on with another's."""

import asyncio
from typing import Any

import msgspec

from tests.support.answers import DONE, FIRST, chunk, usage_chunk
from tests.support.scripted import Heard, Play, ScriptedEngine, events_play, json_play
from tests.support.serving import Served
from tests.support.streams import data_of

ASK: dict[str, Any] = {
    "model": "big",
    "messages": [{"role": "user", "content": "Hello"}],
    "stream": True,
    "max_tokens": 9,
}
BEGUN = (FIRST, chunk("It "), chunk("weighs"))
REST = (
    FIRST.replace(b"chatcmpl-1", b"chatcmpl-2"),
    chunk(" much").replace(b"chatcmpl-1", b"chatcmpl-2"),
    chunk(finish="stop").replace(b"chatcmpl-1", b"chatcmpl-2"),
    usage_chunk().replace(b"chatcmpl-1", b"chatcmpl-2"),
    DONE,
)
WEIGHS = (
    b'data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"toy",'
    b'"choices":[{"index":0,"text":" weighs","finish_reason":null}]}\n\n'
)


def config(*engines: ScriptedEngine, more: str = "") -> str:
    urls = ", ".join(f'"{engine.url}"' for engine in engines)
    return f"""
engines: {{lab: {{kind: remote, url: [{urls}], health_interval_s: 60}}}}
models: {{big: {{engine: lab, upstream_model: toy, idle_timeout_s: 0.2{more}}}}}
"""


class Breaking(ScriptedEngine):
    """Breaks its first stream with `break_`; goes on with an answer that somebody has begun."""

    def __init__(
        self, *break_: bytes | asyncio.Event | None, begun: Any = BEGUN, rest: Any = REST
    ) -> None:
        super().__init__(answer=self._choose)
        self.break_ = break_
        self.begun = begun
        self.rest = rest
        self.tokens: list[int] | None = [5, 6, 7]

    def _choose(self, heard: Heard) -> Play:
        if heard.path == "/tokenize":
            return json_play({"tokens": self.tokens}) if self.tokens else json_play({}, 404)
        if b"t weighs" in heard.body:  # what was told so far
            return events_play(*self.rest)
        return events_play(*self.begun, *self.break_)


async def streamed(served: Served, path: str = "/v1/chat/completions", **more: Any) -> str:
    await served.until(lambda: not served.gateway.fleet.why_not(["big"]))
    async with asyncio.timeout(20):
        answer = await served.http.post(path, json=ASK | more)
    assert answer.status_code == 200, answer.text
    return answer.text


async def told_error(served: Served, **more: Any) -> dict[str, Any]:
    text = await streamed(served, **more)
    assert "[DONE]" not in text
    error: dict[str, Any] = msgspec.json.decode(data_of(text)[-1])["error"]
    return error


def requests(*engines: ScriptedEngine) -> list[Heard]:
    """Return the requests for completions, in the order of the engines."""
    return [one for engine in engines for one in engine.heard if "completions" in one.path]


def bounds(*engines: ScriptedEngine) -> list[int]:
    """Return the `max_tokens` that were asked for, the least first."""
    return sorted(int(str(heard.json()["max_tokens"])) for heard in requests(*engines))
