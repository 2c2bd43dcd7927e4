"""What real vLLM does when it is killed or told to end, and what clients of the gateway see of it.

Two servers of one model, shared by the tests of this file, which run in its order: a start takes
half a minute.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.process import GatewayProcess, gateway_process
from tests.support.vllm import (
    GONE,
    QWEN,
    engine,
    gone,
    segments,
    servers,
    session,
    wait_replicas,
)

CONFIG = """
gateway: {{retry_share: 1}}
engines: {{gpu: {gpu}}}
models: {{tiny-qwen2: {{engine: gpu, weights: "{toys}/qwen2", replicas: 2}}}}
"""
LONG: dict[str, Any] = {
    "model": QWEN,
    "messages": [{"role": "user", "content": "Hello, who are you?"}],
    "max_tokens": 900,
    "temperature": 0,
    "ignore_eos": True,
}
CHAT = "/v1/chat/completions"
# How long a stream of an engine that stands still may show that all of it was drawn already.
_STILL_S = 1
_TRIES = 6


@pytest.fixture(scope="module")
def gateway(
    venv: Path, toys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    text = CONFIG.format(gpu=engine(venv, drain_timeout_s=60), toys=toys)
    with gateway_process(tmp_path_factory.mktemp("pair"), config=text) as started:
        yield started


@pytest.fixture
async def http(gateway: GatewayProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A client, when both servers are ready."""
    await asyncio.to_thread(wait_replicas, gateway, QWEN, 2)
    async with gateway.client() as client:
        yield client


@dataclass
class Stream:
    """A long answer as it comes; `under_way` is set when it has begun well, or has ended."""

    replica: str = ""
    lines: list[str] = field(default_factory=list)
    under_way: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, http: httpx.AsyncClient) -> None:
        try:
            async with http.stream("POST", CHAT, json=LONG | {"stream": True}) as answer:
                assert answer.status_code == 200
                self.replica = answer.headers["x-weighbridge-replica"].rpartition("/")[2]
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        self.lines.append(line.removeprefix("data: "))
                    if len(self.lines) == 10:
                        self.under_way.set()
        finally:
            self.under_way.set()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines if line != "[DONE]"]

    @property
    def text(self) -> str:
        deltas = [c["delta"] for event in self.events for c in event.get("choices") or ()]
        return "".join(delta.get("content") or "" for delta in deltas)


def server(gateway: GatewayProcess, replica: str) -> int:
    """Return the process of a replica's vLLM."""
    return next(pid for name, pid in servers(gateway).items() if name.endswith(f".{replica}"))


def engine_core(pid: int) -> int:
    """Return the process that evaluates, of a vLLM."""
    for one in session(pid):
        with contextlib.suppress(*GONE):
            if b"EngineCore" in Path(f"/proc/{one}/cmdline").read_bytes():
                return one
    raise AssertionError("no EngineCore")


def tell(pids: Iterable[int], what: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


async def creep(pids: Iterable[int]) -> None:
    """Let processes run a tenth of the time, until cancelled."""
    while True:
        tell(pids, signal.SIGSTOP)
        await asyncio.sleep(0.09)
        tell(pids, signal.SIGCONT)
        await asyncio.sleep(0.01)


@asynccontextmanager
async def halted(
    http: httpx.AsyncClient, cores: Sequence[int], count: int
) -> AsyncIterator[tuple[list[Stream], list[asyncio.Task[None]]]]:
    """Yield streams in the middle of their answers, whose engines stand still until the end.

    What evaluates is much faster than what sends its tokens on two cores: a toy may have drawn its
    whole answer when the client sees the first words, also if it creeps. A stream that comes to its
    end by itself was such a one, and all begin again.
    """
    for _ in range(_TRIES):
        streams = [Stream() for _ in range(count)]
        creeper = asyncio.create_task(creep(cores))
        reading = [asyncio.create_task(stream.read(http)) for stream in streams]
        try:
            for stream in streams:
                await stream.under_way.wait()
            creeper.cancel()
            tell(cores, signal.SIGSTOP)
            done, _ = await asyncio.wait(reading, timeout=_STILL_S)
            if not done:
                yield streams, reading
                return
        finally:
            creeper.cancel()
            tell(cores, signal.SIGCONT)
        await asyncio.gather(*reading)
    raise AssertionError(f"the toys drew their whole answers before they were stopped, {_TRIES}x")


async def figures(http: httpx.AsyncClient, name: str) -> float:
    lines = (await http.get("/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def left(gateway: GatewayProcess, replica: str) -> bool:
    """Say whether a replica is out of rotation, or soon is; waits some seconds."""
    deadline_s = time.monotonic() + 20
    while True:
        told = httpx.get(f"{gateway.url}/ready", timeout=20).json()["models"][QWEN]["replicas"]
        if told[int(replica)]["state"] in ("backing_off", "starting"):
            return True
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)


async def test_a_stream_whose_engine_dies_is_gone_on_with_by_the_other_or_ends_with_an_error(
    gateway: GatewayProcess, http: httpx.AsyncClient
) -> None:
    """vLLM itself ends it with an error event and `[DONE]`, which must not look like an end."""
    whole = (await http.post(CHAT, json=LONG)).json()["choices"][0]["message"]["content"]
    pids = {replica: server(gateway, replica) for replica in ("0", "1")}
    cores = {replica: engine_core(pid) for replica, pid in pids.items()}
    shared = {replica: segments(session(pid)) for replica, pid in pids.items()}
    async with halted(http, list(cores.values()), 1) as ((stream,), (reading,)):
        before = stream.text
        os.kill(cores[stream.replica], signal.SIGKILL)
    await reading
    # A toy babbles: its own text, cut into tokens again, need not give the tokens that it drew, and
    # what follows the seam may be another babble.
    assert before
    assert whole.startswith(before)
    assert stream.text.startswith(before)
    if stream.lines[-1] == "[DONE]":
        assert stream.events[-1]["choices"][0]["finish_reason"] == "length"
        assert stream.events[-1]["weighbridge"] == {"continued": 1}
    else:
        assert stream.events[-1]["error"]["code"] == "continuation_impossible"
    assert await figures(http, "weighbridge_stream_breaks_total{") == 1
    assert await asyncio.to_thread(gone, pids[stream.replica], shared[stream.replica])
    # The next test waits for two that are ready: this one must be known to be none of them.
    assert await asyncio.to_thread(left, gateway, stream.replica)


async def test_a_server_that_somebody_ends_finishes_its_streams_and_nobody_sees_its_500(
    gateway: GatewayProcess, http: httpx.AsyncClient
) -> None:
    """Its /health says 200 while it drains, and what is new gets a 500 from it."""
    pid = server(gateway, "0")
    cores = [engine_core(one) for one in servers(gateway).values()]
    async with halted(http, cores, 8) as (streams, reading):
        os.kill(pid, signal.SIGTERM)
    short = LONG | {"max_tokens": 4}
    answers = []
    while not all(reader.done() for reader in reading):
        answers.append(await http.post(CHAT, json=short))
    await asyncio.gather(*reading)
    answers += [await http.post(CHAT, json=short) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {200}
    assert len(answers) > 12
    assert await asyncio.to_thread(left, gateway, "0")
    assert {stream.replica for stream in streams} == {"0", "1"}
    assert [stream.lines[-1] for stream in streams] == ["[DONE]"] * 8
    assert not any("error" in event for stream in streams for event in stream.events)
    assert await asyncio.to_thread(gone, pid, set())


async def test_a_server_that_is_killed_leaves_no_engine_and_no_segment(
    gateway: GatewayProcess, http: httpx.AsyncClient
) -> None:
    pid = server(gateway, "1")
    shared = segments(session(pid))
    assert shared
    assert len(session(pid)) > 2
    os.kill(pid, signal.SIGKILL)
    answers = [await http.post(CHAT, json=LONG | {"max_tokens": 4}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert await asyncio.to_thread(gone, pid, shared)


async def test_a_gateway_that_is_killed_takes_every_vllm_with_it(gateway: GatewayProcess) -> None:
    """The last test of this file; one of them may just be loading again."""
    pids = list(servers(gateway).values())
    assert pids
    shared = {name for pid in pids for name in segments(session(pid))}
    os.kill(gateway.pid, signal.SIGKILL)
    for pid in pids:
        assert await asyncio.to_thread(gone, pid, shared)
