"""Passing an engine's answer on to a client, whole or as a stream.

Owns: when the client's answer begins, and what a stream that breaks is.
Must not: retry, go on elsewhere, choose; speak ASGI (`Reply` is what it writes to).
"""

from collections.abc import Sequence
from typing import Protocol

from engines.asgi import AtOnce
from gateway.observe.account import Account
from gateway.relay.answers import MAX_ANSWER_BYTES, read_usage, rename_model
from gateway.relay.calls import mend_whole
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

    @property
    def at_once(self) -> AtOnce | None:
        """What sends a further part without waiting; None where each is to be written."""

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body; `more=False` ends the answer."""


async def relay_whole(
    answer: UpstreamAnswer, reply: Reply, account: Account, served: str, head: Headers
) -> None:
    """Read an answer, keep its usage, put the served name in, mend its calls, send it on.

    Raises:
        ConnectionLost, DeadlinePassed, EngineFailed: nothing was sent; another engine may try.
    """
    body = answer.whole(MAX_ANSWER_BYTES)
    if body is None:
        body = await answer.read(MAX_ANSWER_BYTES)
    told, account.usage = read_usage(body)
    if told is not None:
        body = rename_model(body, told, served)
    body = mend_whole(body)
    await reply.start(200, head)
    await reply.write(body, more=False)


async def relay_stream(
    answer: UpstreamAnswer, reply: Reply, editor: StreamEditor, head: Headers
) -> None:
    """Pass events on as they come; the client's answer begins with the first of them.

    Those like most go from one connection to the other at once, and do not wake this task.

    Raises:
        ConnectionLost, DeadlinePassed, EngineFailed: the stream broke. Unless `reply` has started
            nothing was sent; in either case another engine may go on.
    """
    out = b""
    answer.pass_by(_passing(answer, reply, editor))
    try:
        while piece := await answer.next_piece():
            events = editor.events
            out = editor.feed(piece)
            if editor.events != events:
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
    finally:
        answer.pass_by(None)
    if not reply.started:
        await reply.start(200, head)
    await reply.write(out, more=False)
    await answer.finish(_FINISH_S)


def _passing(answer: UpstreamAnswer, reply: Reply, editor: StreamEditor) -> AtOnce | None:
    """Return what takes pieces in the task's place; None where each is to be written.

    It takes none before the answer has begun: until then no event is known to be like most.
    """
    send = reply.at_once
    if send is None:
        return None

    def take(piece: bytes) -> bool:
        if not editor.pass_on(piece, send):
            return False
        answer.heard()
        return True

    return take
