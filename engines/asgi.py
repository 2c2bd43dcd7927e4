"""Two things that every ASGI server of ours needs: a bounded body, and noticing that a client went.

Owns: reading a body, the one task that waits for `http.disconnect`, what servers of ours offer
beyond ASGI.
Must not: parse, answer, or know what is cancelled.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from starlette.types import Message, Receive, Scope, Send


class ClientGone(Exception):
    """The client closed its connection; there is nobody to answer."""


class BodyTooLong(Exception):
    """The body is, or says that it is, beyond the limit."""


# What a server puts into a scope that tells by itself when the client goes: a function to call with
# what it is to call then, or with None.
ON_DEPARTURE = "weighbridge.on_departure"
# The task of a request, where its server has it at hand: to ask for the current one takes longer.
TASK = "weighbridge.task"
# With other servers only who is at it for longer is watched: a task costs more than the rest of a
# quick answer's bookkeeping (docs/decisions/0031).
_WATCHED_AFTER_S = 0.005


# What says how long a body is, how it comes, and whether another follows.
FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
# What a server puts into a scope whose answers can be begun and written without messages: an
# `Answer`. Whoever wraps `send` is still asked: see `answer_of`.
ANSWER = "weighbridge.answer"
# Sends a further part of an answer and says True; False where the client cannot take it now, and
# nothing is done.
AtOnce: TypeAlias = Callable[[bytes], bool]


class Head(tuple[tuple[bytes, bytes], ...]):  # noqa: SLOT001 - a tuple can have none but empty ones
    """Headers that many answers have in common, and their lines, which are put together once.

    None of them says how long a body is or how it comes: our server tells that by the body.

    Raises:
        ValueError: one has a line's end in it, where another header would begin, or is of those.
    """

    lines: bytes

    def __new__(cls, headers: Iterable[tuple[bytes, bytes]]) -> Self:
        """Put the lines together."""
        head = super().__new__(cls, headers)
        head.lines = lines = b"".join([b"%b: %b\r\n" % row for row in head])
        whole = lines.count(b"\r") == lines.count(b"\n") == len(head) and b"\0" not in lines
        if not whole or not FRAMING.isdisjoint(name for name, _ in head):
            raise ValueError("These are no headers that every answer may have.")
        return head


class Answer(Protocol):
    """The answer to one request, as its server has it.

    `more_headers` go with whatever begins it. `status` and `headers` are what it began with, once
    it is `started`.
    """

    more_headers: Sequence[tuple[bytes, bytes]]
    status: int
    headers: Sequence[tuple[bytes, bytes]]

    @property
    def started(self) -> bool:
        """Whether its status has been sent."""

    def at_once(self, body: bytes) -> bool:
        """Send a further part if the client takes it now; False: nothing is done, `write` it."""

    def whole_request(self) -> bytes | None:
        """Return the request's body, if all of it has come before any was asked for; else None."""

    async def send(self, message: Message) -> None:
        """Take a message of ASGI's."""

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send status and headers."""

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body; `more=False` ends it."""


def answer_of(scope: Scope, send: Send) -> Answer | None:
    """Return the server's answer, None where there is none or somebody listens to `send`."""
    answer: Answer | None = scope.get(ANSWER)
    return answer if answer is not None and answer.send == send else None


class Departure:
    """`with`: the body is cancelled when the client goes, and `ClientGone` comes out of it.

    A cancellation from elsewhere (shutdown) stays a cancellation. The request's body must have
    been read before.
    """

    __slots__ = ("_begins", "_gone", "_receive", "_task", "_tell", "_watch")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._tell: Callable[[Callable[[], None] | None], None] | None = scope.get(ON_DEPARTURE)
        self._receive = receive
        self._gone = False
        self._begins: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None
        self._task: asyncio.Task[object] | None = scope.get(TASK)

    def __enter__(self) -> None:
        """Begin to watch."""
        if self._task is None:
            self._task = asyncio.current_task()
        if self._tell is not None:
            self._tell(self._leave)
        else:
            self._begins = asyncio.get_running_loop().call_later(_WATCHED_AFTER_S, self._begin)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching; turn our own cancellation into `ClientGone`."""
        if self._tell is not None:
            self._tell(None)
        if self._begins is not None:
            self._begins.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if not self._gone or self._task is None:
            return
        others = self._task.uncancel()
        if kind is asyncio.CancelledError and others == 0:
            raise ClientGone from None

    def _begin(self) -> None:
        self._watch = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self._gone = True
        if self._task is not None:
            self._task.cancel()


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        BodyTooLong: it says that it is, or is, beyond `limit_bytes`.
        ClientGone: the client went away before it had sent all.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and _beyond(value, limit_bytes):
            raise BodyTooLong
    parts: list[bytes] = []
    total_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        total_bytes += len(part)
        if total_bytes > limit_bytes:
            raise BodyTooLong
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _beyond(digits: bytes, limit_bytes: int) -> bool:
    # Python refuses to read numbers of thousands of digits.
    return len(digits.lstrip(b"0")) > 18 or int(digits) > limit_bytes
