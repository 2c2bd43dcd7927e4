"""Which failures of a child of ours are waited out: its end is noticed when the test says so."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from engines.asgi import AtOnce
from engines.protocol.requests import ChatRequest
from gateway.asking import Incoming
from gateway.config.loading import parse_config
from gateway.domain import Endpoint
from gateway.errors import EngineFailed
from gateway.fleet import Condition, Replica
from gateway.parts import Gateway, build_gateway
from gateway.relay.exchange import Headers
from tests.support.answers import chat_answer
from tests.support.scripted import CUT, Heard, Play, ScriptedEngine, json_play
from tests.support.waiting import until

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'
WAIT_S = 20


class Kept:
    """A reply that keeps what it is given."""

    def __init__(self) -> None:
        self.started = False
        self.status = 0
        self.body = b""

    @property
    def at_once(self) -> AtOnce | None:
        return None

    async def start(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - the protocol names it
        self.started, self.status = True, status

    async def write(self, body: bytes, *, more: bool) -> None:  # noqa: ARG002 - as above
        self.body += body


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return gateway_of(tmp_path, queue_timeout_s=WAIT_S)


def gateway_of(folder: Path, *, queue_timeout_s: float) -> Gateway:
    """Return a gateway whose one child counts as ready; nobody looks after it."""
    text = (
        f"gateway: {{queue_timeout_s: {queue_timeout_s}}}\n"
        "engines: {cpu: {kind: llamacpp}}\nmodels: {m: {engine: cpu, weights: 'demo:qwen'}}\n"
    )
    config = parse_config(text, "test.yaml", {}, folder)
    gateway = build_gateway(config, {}, runtime_folder=folder, cores=1)
    gateway.fleet.update(child_of(gateway), Condition.READY)
    return gateway


def child_of(gateway: Gateway) -> Replica:
    (child,) = gateway.fleet
    return child


async def ask(gateway: Gateway) -> Kept:
    request = msgspec.json.decode(BODY, type=ChatRequest)
    reply = Kept()
    incoming = Incoming(Endpoint.CHAT, BODY, request, (), "id", time.perf_counter())
    await gateway.dispatcher.dispatch(incoming, reply)
    return reply


@asynccontextmanager
async def listening(gateway: Gateway, *plays: Play) -> AsyncIterator[ScriptedEngine]:
    """Let an engine answer where the child would."""
    chats = list(plays)

    def answer(heard: Heard) -> Play:
        # Afterwards it is asked what came of a request that was cut off.
        return chats.pop(0) if heard.path.endswith("/chat/completions") else json_play({})

    engine = ScriptedEngine(answer=answer)
    path = child_of(gateway).plan.address.socket_path
    server = await asyncio.start_unix_server(engine.serve, path)
    try:
        yield engine
    finally:
        gateway.client.close()
        server.close()


async def refused(gateway: Gateway) -> None:
    """Return when a request has found nobody at the child's socket."""

    async def suspected() -> bool:
        return child_of(gateway).suspect and child_of(gateway).in_flight == 0

    await until(suspected)


async def test_a_request_that_found_nobody_waits_until_the_child_is_back(gateway: Gateway) -> None:
    child, fleet = child_of(gateway), gateway.fleet
    asking = asyncio.create_task(ask(gateway))
    await refused(gateway)
    assert not asking.done()
    fleet.update(child, Condition.BACKING_OFF, "killed", 1)
    fleet.update(child, Condition.STARTING)
    async with listening(gateway, json_play(chat_answer())) as engine:
        fleet.update(child, Condition.READY)
        reply = await asyncio.wait_for(asking, WAIT_S)
        assert (reply.status, len(engine.heard)) == (200, 1)
    assert child.in_flight == 0


async def test_a_child_whose_end_was_noticed_and_mended_at_once_is_tried_again(
    gateway: Gateway,
) -> None:
    asking = asyncio.create_task(ask(gateway))
    await refused(gateway)
    async with listening(gateway, json_play(chat_answer())):
        # All within one step of the loop: the request sees only that it was started again.
        gateway.fleet.update(child_of(gateway), Condition.BACKING_OFF, "killed", 1)
        gateway.fleet.update(child_of(gateway), Condition.READY)
        assert (await asyncio.wait_for(asking, WAIT_S)).status == 200


async def test_nobody_waits_for_a_child_that_can_never_be_back(gateway: Gateway) -> None:
    asking = asyncio.create_task(ask(gateway))
    await refused(gateway)
    gateway.fleet.update(child_of(gateway), Condition.FAILED, "its file is gone")
    with pytest.raises(EngineFailed, match="cannot be reached"):
        await asyncio.wait_for(asking, WAIT_S)


async def test_the_wait_ends_with_the_queue_timeout(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed) as told:
        await ask(gateway_of(tmp_path, queue_timeout_s=0.05))
    assert "Try again" not in told.value.message


async def test_a_child_that_dies_under_a_request_gets_it_once_more_and_not_a_third_time(
    gateway: Gateway,
) -> None:
    child, fleet = child_of(gateway), gateway.fleet
    dies = Play([b"{", CUT])
    async with listening(gateway, dies, dies, json_play(chat_answer())) as engine:
        asking = asyncio.create_task(ask(gateway))
        await refused(gateway)
        fleet.update(child, Condition.BACKING_OFF, "killed", 1)
        fleet.update(child, Condition.READY)
        with pytest.raises(EngineFailed, match="went away"):
            await asyncio.wait_for(asking, WAIT_S)
        chats = [heard for heard in engine.heard if heard.path.endswith("/chat/completions")]
        assert len(chats) == 2


async def test_a_child_that_was_killed_under_a_request_answers_it_when_it_is_back(
    gateway: Gateway,
) -> None:
    child, fleet = child_of(gateway), gateway.fleet
    async with listening(gateway, Play([b"{", CUT]), json_play(chat_answer())):
        asking = asyncio.create_task(ask(gateway))
        await refused(gateway)
        fleet.update(child, Condition.BACKING_OFF, "killed", 1)
        fleet.update(child, Condition.READY)
        assert (await asyncio.wait_for(asking, WAIT_S)).status == 200
