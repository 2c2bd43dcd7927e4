"""Passing an engine's answer on to a client, whole or as a stream.

Owns: when the client's answer begins, and how a stream that breaks after that ends.
Must not: retry; choose; speak ASGI (`Reply` is what it writes to).
"""

from collections.abc import Sequence
from typing import Protocol

from engines.protocol.events import EventTooLong
from gateway.domain import Outcome
from gateway.errors import ApiError, EngineFailed, EngineTimeout
from gateway.observe.account import Account
from gateway.relay.answers import MAX_ANSWER_BYTES, read_usage, rename_model
from gateway.relay.client import DeadlinePassed, UpstreamAnswer
from gateway.relay.connection import ConnectionLost
from gateway.relay.stream import StreamEditor

Headers = Sequence[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the events back
)
_FINISH_S = 0.5


class Reply(Protocol):
    """Where an answer goes. `started` says whether its status has been sent."""

    started: bool

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body; `more=False` ends the answer."""


async def relay_whole(
    answer: UpstreamAnswer, reply: Reply, account: Account, served: str, headers: Headers
) -> Outcome:
    """Read an answer, keep its usage, put the served name in, send it on.

    Raises:
        ConnectionLost, DeadlinePassed, EngineFailed: nothing was sent; another engine may try.
    """
    body = await answer.read(MAX_ANSWER_BYTES)
    told, account.usage = read_usage(body)
    if told is not None:
        body = rename_model(body, told, served)
    await reply.start(200, (JSON, (b"content-length", str(len(body)).encode()), *headers))
    await reply.write(body, more=False)
    return Outcome.OK


async def relay_stream(
    answer: UpstreamAnswer, reply: Reply, editor: StreamEditor, account: Account, headers: Headers
) -> Outcome:
    """Pass events on as they come; the client's answer begins with the first of them.

    A stream that breaks after that ends with an error event and without `[DONE]`.

    Raises:
        ConnectionLost, DeadlinePassed, EngineFailed: nothing was sent; another engine may try.
    """
    try:
        async for piece in answer.pieces():
            out = editor.feed(piece)
            if out and not reply.started:
                if account.engine_said_error:
                    raise EngineFailed("The engine failed before the first token.")
                await reply.start(200, (*_STREAM, *headers))
            if editor.whole:
                break
            if out:
                await reply.write(out, more=True)
        else:
            out = editor.close()
        if not editor.whole:
            raise ConnectionLost("the engine's stream ended early", answered=True)
    except (ConnectionLost, DeadlinePassed, EventTooLong) as error:
        if not reply.started:
            if isinstance(error, EventTooLong):
                raise EngineFailed("The engine sent an event without an end.") from None
            raise
        told = b"" if account.engine_said_error else editor.error(as_api_error(error))
        await reply.write(told, more=False)
        return Outcome.TIMEOUT if isinstance(error, DeadlinePassed) else Outcome.ENGINE_ERROR
    await reply.write(out, more=False)
    await answer.finish(_FINISH_S)
    return Outcome.ENGINE_ERROR if account.engine_said_error else Outcome.OK


def as_api_error(error: Exception) -> ApiError:
    """Return what a client is told of a relay's failure."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, DeadlinePassed):
        return EngineTimeout(
            f"The engine gave {error}. Ask for less, or raise the engine's timeouts."
        )
    return EngineFailed("The engine went away before the end of its answer.")
