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

from engines.llamacpp.sequence import Progress, SequenceState
from engines.protocol.answers import UseTold
from engines.protocol.errors import NotFound

HEADER = b"x-weighbridge-use"
_MOST_KEPT = 4_096
# A question may overtake its request; and a request ends within a step of its client's going.
_ARRIVES_WITHIN_S = 2.0
_ENDS_WITHIN_S = 5.0


class Use:
    """One request; from its arrival until the batcher has let go of all its sequences."""

    __slots__ = ("_closed", "_open", "_sequences", "before", "over", "told")

    def __init__(self, before: "Use | None" = None) -> None:
        self.before = before  # sent under the same name: its connection was lost
        self._sequences: Sequence[SequenceState] = ()
        self._open = 0
        self._closed = False
        self.told = UseTold()
        self.over = asyncio.Event()

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
        self.told.delivered_tokens += tokens

    def close(self) -> None:
        """Note that the request asks for nothing more."""
        self._closed = True
        self._look()

    def _look(self) -> None:
        if not self._closed or self._open or self.over.is_set():
            return
        told = self.told
        # Several answers may be drawn to one prompt: it counts once, as in `usage`.
        told.prompt_tokens = sum(s.read for s in self._sequences if s.order.choice == 0)
        told.completion_tokens = sum(s.generated for s in self._sequences)
        self._sequences = ()
        self.over.set()


class Uses:
    """The last uses. Used from the event loop's thread only."""

    def __init__(self, most: int = _MOST_KEPT) -> None:
        self._most = most
        self._uses: OrderedDict[bytes, Use] = OrderedDict()
        self._awaited: dict[bytes, asyncio.Event] = {}

    def open(self, scope: Scope) -> Use:
        """Return the use that a request begins; one that has a name is remembered."""
        name = next((value for key, value in scope["headers"] if key == HEADER), None)
        use = Use(None if name is None else self._uses.get(name))
        if name is not None:
            self._uses[name] = use
            if name in self._awaited:
                self._awaited.pop(name).set()
            if len(self._uses) > self._most:
                self._uses.popitem(last=False)
        return use

    async def told(self, name: bytes) -> bytes:
        """Return what came of a use, as JSON, when it is over; of all under its name together.

        Raises:
            NotFound: nobody has come under this name lately, or the request still runs.
        """
        if name not in self._uses:
            await self._within(self._awaited.setdefault(name, asyncio.Event()), _ARRIVES_WITHIN_S)
            self._awaited.pop(name, None)
        use, told = self._uses.get(name), UseTold()
        if use is None:
            raise NotFound("No request has come under this name.")
        while use is not None:
            if not await self._within(use.over, _ENDS_WITHIN_S):
                raise NotFound("The request under this name still runs.")
            told.prompt_tokens += use.told.prompt_tokens
            told.completion_tokens += use.told.completion_tokens
            told.delivered_tokens += use.told.delivered_tokens
            use = use.before
        return msgspec.json.encode(told)

    @staticmethod
    async def _within(event: asyncio.Event, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True
