"""A scripted engine that plays what a real vLLM once sent, byte for byte."""

import asyncio
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.scripted import Heard, Play, ScriptedEngine

MODEL = "tiny-qwen2"
CONTEXT = 1_024
_CAPTURES = Path(__file__).resolve().parent.parent / "captures" / "vllm"
_STREAM = re.compile(rb"^##### (?P<name>.*?) (?P<path>/v1/\S+) 200 .*\n", re.MULTILINE)
_ANSWER = re.compile(
    rb"^### (?P<name>.*): (?P<method>[A-Z]+) (?P<path>/v1/\S+) -> (?P<status>\d+) .*\n",
    re.MULTILINE,
)
_RUNNING = re.compile(rb"^(vllm:num_requests_running\{.*\}) .*$", re.MULTILINE)


@dataclass(frozen=True)
class Recorded:
    """One answer as it was: `name` says what had been asked."""

    name: str
    path: str
    status: int
    body: bytes


@cache
def streams() -> dict[str, Recorded]:
    """Return the recorded event streams by name."""
    text = (_CAPTURES / "streams.txt").read_bytes()
    cuts = [*_STREAM.finditer(text)]
    ends = [cut.start() for cut in cuts[1:]] + [len(text)]
    found = [
        Recorded(
            cut["name"].decode(),
            cut["path"].decode(),
            200,
            text[cut.end() : end].rstrip(b"\n") + b"\n\n",
        )
        for cut, end in zip(cuts, ends, strict=True)
    ]
    return {one.name: one for one in found}


@cache
def answers() -> dict[str, Recorded]:
    """Return the recorded answers that were not streamed, errors most of them, by name."""
    text = (_CAPTURES / "errors.txt").read_bytes()
    cuts = [*_ANSWER.finditer(text)]
    ends = [cut.start() for cut in cuts[1:]] + [len(text)]
    found = [
        Recorded(
            cut["name"].decode(),
            cut["path"].decode(),
            int(cut["status"]),
            text[cut.end() : end].strip(),
        )
        for cut, end in zip(cuts, ends, strict=True)
    ]
    return {one.name: one for one in found}


@dataclass
class RecordedVllm(ScriptedEngine):
    """Answers like the vLLM of the recording.

    A request whose `user` is `hold:N` stops before event N until its client hangs up.
    """

    models: tuple[str, ...] = (MODEL,)
    never: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answer = self._choose

    def metrics(self) -> bytes:
        """Return the recorded scrape with the number of running requests as it is now."""
        text = (_CAPTURES / "metrics.txt").read_bytes()
        return _RUNNING.sub(rb"\1 %d.0" % self.running, text)

    def _choose(self, heard: Heard) -> Play:
        asked = heard.json()
        if asked.get("model") != MODEL:
            return _whole("unknown model")
        if len(heard.body) > 5_000:
            return _whole("too long prompt")
        if asked.get("stream"):
            return self._stream(heard, asked)
        return _whole("no model (accepted?)")

    def _stream(self, heard: Heard, asked: dict[str, object]) -> Play:
        name = "chat no usage n=2" if asked.get("n") == 2 else "chat+usage"
        if heard.path.endswith("/completions") and "/chat/" not in heard.path:
            name = "completions"
        pieces: list[bytes | asyncio.Event | None] = [*_events(streams()[name].body)]
        user = str(asked.get("user", ""))
        if user.startswith("hold:"):
            pieces.insert(int(user.removeprefix("hold:")) % (len(pieces) + 1), self.never)
        return Play(pieces, kind="text/event-stream; charset=utf-8")


def _events(body: bytes) -> list[bytes]:
    return [part + b"\n\n" for part in body.split(b"\n\n") if part]


def _whole(name: str) -> Play:
    recorded = answers()[name]
    return Play([recorded.body], recorded.status)
