"""Passing an engine's answer on to a client, whole or as a stream.

Owns: when the client's answer begins, and what a stream that breaks is.
Must not: retry, go on elsewhere, choose; speak ASGI (`Reply` is what it writes to).
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.observe.account import Account
from gateway.relay.answers import MAX_ANSWER_BYTES, read_usage, rename_model
from gateway.relay.client import UpstreamAnswer
from gateway.relay.connection import ConnectionLost
from gateway.relay.stream import StreamEditor
from gateway.relay.watch import DeadlinePassed

Headers = Sequence[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the events back
)
_FINISH_S = 0.5


class Reply(Protocol):
    """Where an answer goes; how long a body is that comes in one part it says itself."""

    @property
    def started(self) -> bool:
        """Whether its status has been sent."""

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body; `more=False` ends the answer."""


async def relay_whole(
    answer: UpstreamAnswer, reply: Reply, account: Account, served: str, head: Headers
) -> None:
    """Read an answer, keep its usage, put the served name in, send it on.

    Raises:
        ConnectionLost, DeadlinePassed, EngineFailed: nothing was sent; another engine may try.
    """
    body = answer.whole(MAX_ANSWER_BYTES)
    if body is None:
        body = await answer.read(MAX_ANSWER_BYTES)
    told, account.usage = read_usage(body)
    if told is not None:
        body = rename_model(body, told, served)
    await reply.start(200, head)
    await reply.write(body, more=False)


async def relay_stream(
    answer: UpstreamAnswer, reply: Reply, editor: StreamEditor, head: Headers
) -> None:
    """Pass events on as they come; the client's answer begins with the first of them.

    Raises:
        ConnectionLost, DeadlinePassed, EngineFailed: the stream broke. Unless `reply` has started
            nothing was sent; in either case another engine may go on.
    """
    events, out = 0, b""
    try:
        while piece := await answer.next_piece():
            out = editor.feed(piece)
            if editor.events != events:
                events = editor.events
                answer.heard()
            if editor.whole:
                break
            if out:
                if not reply.started:
                    await reply.start(200, head)
                await reply.write(out, more=True)
            if editor.failure is not None:
                raise editor.failure
        else:
            raise ConnectionLost("the engine's stream ended early", answered=True)
    except (ConnectionLost, DeadlinePassed):
        out = editor.close()
        if not editor.whole:
            raise
    if not reply.started:
        await reply.start(200, head)
    await reply.write(out, more=False)
    await answer.finish(_FINISH_S)
