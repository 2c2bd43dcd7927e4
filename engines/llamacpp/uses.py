"""What came of each request, for a gateway that has cut it off and never saw its usage.

Owns: a bounded memory of tokens read, generated and delivered, by the name in a request's header;
the wait for the end of one that is still known to the batcher.
Must not: generate, or know how answers are written.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec
from starlette.types import Scope

from engines.llamacpp.orders import Progress
from engines.llamacpp.sequence import SequenceState
from engines.protocol.answers import UseTold
from engines.protocol.errors import NotFound

HEADER = b"x-weighbridge-use"
_MOST_KEPT = 4_096
# A gateway's are a third of it.
_LONGEST_NAME = 64
# A question may overtake its request; and a request ends within a step of its client's going.
_ARRIVES_WITHIN_S = 2.0
_ENDS_WITHIN_S = 5.0


class _Name:
    """All requests under one name: one whose connection was lost is sent again under its own."""

    __slots__ = ("_running", "over", "told")

    def __init__(self) -> None:
        self.told = UseTold()
        self.over = asyncio.Event()
        self._running = 0

    def begin(self) -> None:
        self._running += 1
        self.over.clear()

    def end(self, read: int, generated: int) -> None:
        self.told.prompt_tokens += read
        self.told.completion_tokens += generated
        self._running -= 1
        if not self._running:
            self.over.set()


class Use:
    """One request; from its arrival until the batcher has let go of all its sequences."""

    __slots__ = ("_closed", "_ended", "_name", "_open", "_sequences")

    def __init__(self, name: _Name) -> None:
        self._name = name
        self._sequences: Sequence[SequenceState] = ()
        self._open = 0
        self._closed = self._ended = False
        name.begin()

    def begin(self, sequences: Sequence[SequenceState]) -> None:
        """Note what is generated for it; each of these ends with a progress that is `heard`."""
        self._sequences = sequences
        self._open = len(sequences)

    def heard(self, progress: Progress) -> None:
        """Note what a sequence has told."""
        self._open -= progress.ends
        self._look()

    def delivered(self, tokens: int) -> None:
        """Note tokens that the client has been sent."""
        self._name.told.delivered_tokens += tokens

    def close(self) -> None:
        """Note that the request asks for nothing more."""
        self._closed = True
        self._look()

    def _look(self) -> None:
        if not self._closed or self._open or self._ended:
            return
        self._ended = True
        # Several answers may be drawn to one prompt: it counts once, as in `usage`.
        read = sum(s.read for s in self._sequences if s.order.choice == 0)
        self._name.end(read, sum(s.generated for s in self._sequences))
        self._sequences = ()


class Uses:
    """The last uses. Used from the event loop's thread only."""

    def __init__(self, most: int = _MOST_KEPT) -> None:
        self._most = most
        self._names: OrderedDict[bytes, _Name] = OrderedDict()
        self._awaited: dict[bytes, asyncio.Event] = {}

    def open(self, scope: Scope) -> Use:
        """Return the use that a request begins; one that has a name is remembered."""
        name = next((value for key, value in scope["headers"] if key == HEADER), b"")
        if not name or len(name) > _LONGEST_NAME:
            return Use(_Name())
        known = self._names.setdefault(name, _Name())
        self._names.move_to_end(name)
        if name in self._awaited:
            self._awaited.pop(name).set()
        if len(self._names) > self._most:
            self._names.popitem(last=False)
        return Use(known)

    async def told(self, name: bytes) -> bytes:
        """Return what came of a use, as JSON, when it is over; of all under its name together.

        Raises:
            NotFound: nobody has come under this name lately, or the request still runs.
        """
        if name not in self._names:
            try:
                comes = self._awaited.setdefault(name, asyncio.Event())
                await self._within(comes, _ARRIVES_WITHIN_S)
            finally:
                self._awaited.pop(name, None)
        known = self._names.get(name)
        if known is None:
            raise NotFound("No request has come under this name.")
        if not await self._within(known.over, _ENDS_WITHIN_S):
            raise NotFound("The request under this name still runs.")
        return msgspec.json.encode(known.told)

    @staticmethod
    async def _within(event: asyncio.Event, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True
