"""Who has read the beginning of a prompt, so that its cache may still have it: models, replicas.

Owns: a bounded memory of hashes; no text is kept.
Must not: know what engines really cache: it tells who was asked.
"""

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from engines.protocol.decoding import AnyRequest
from engines.protocol.requests import ChatRequest, CompletionRequest

_MOST_ENTRIES = 16_384
_MOST_READERS = 8
_MOST_TURNS = 64
_PIECE_CHARS = 1_024  # of a text that has no turns


class Beginnings(msgspec.Struct, frozen=True):
    """The beginnings of one prompt, each a turn longer: their hashes and their shares."""

    hashes: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def telling(self) -> tuple[int, ...]:
        """The hashes by which it is known again: what many have in common, and its end."""
        return self.hashes if len(self.hashes) <= 4 else (*self.hashes[:2], *self.hashes[-2:])


def beginnings_of(request: AnyRequest, under: str = "") -> Beginnings:
    """Return the beginnings of a chat or of one text, the shortest first; none of any other.

    Those `under` different names are different.
    """
    if isinstance(request, CompletionRequest) and isinstance(request.prompt, str):
        return _of_text(request.prompt, under)
    if not isinstance(request, ChatRequest):
        return Beginnings()
    before, chars = hash(under), 0
    hashes, lengths = [], []
    for message in request.messages[:_MOST_TURNS]:
        text = message.text()
        before = hash((before, message.role, text))
        chars += len(text) + 1
        hashes.append(before)
        lengths.append(chars)
    total = chars + sum(len(message.text()) + 1 for message in request.messages[_MOST_TURNS:])
    return Beginnings(tuple(hashes), tuple(length / total for length in lengths))


def _of_text(text: str, under: str) -> Beginnings:
    before, hashes = hash(under), []
    ends = range(_PIECE_CHARS, len(text) + 1, _PIECE_CHARS)[:_MOST_TURNS]
    for end in ends:
        before = hash((before, text[end - _PIECE_CHARS : end]))
        hashes.append(before)
    return Beginnings(tuple(hashes), tuple(end / len(text) for end in ends))


class Prefixes:
    """Remembers, for each beginning, the last few who read it; the oldest are forgotten.

    Used from the event loop's thread only.
    """

    def __init__(self, most: int = _MOST_ENTRIES) -> None:
        self._most = most
        self._readers: OrderedDict[int, tuple[str, ...]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many beginnings are remembered."""
        return len(self._readers)

    def seen(self, beginnings: Beginnings) -> dict[str, float]:
        """Return, by reader, the greatest share of the prompt that it has read."""
        found: dict[str, float] = {}
        for one, share in zip(beginnings.hashes, beginnings.shares, strict=True):
            for reader in self._readers.get(one, ()):
                found[reader] = share
        return found

    def note(self, beginnings: Sequence[int], reader: str) -> None:
        """Remember that somebody has read these."""
        for one in beginnings:
            others = (other for other in self._readers.get(one, ()) if other != reader)
            self._readers[one] = (reader, *others)[:_MOST_READERS]
            self._readers.move_to_end(one)
        while len(self._readers) > self._most:
            self._readers.popitem(last=False)
