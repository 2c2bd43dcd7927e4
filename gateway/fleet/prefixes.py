"""Which model has read the beginning of a conversation, so that its cache may still have it.

Owns: a bounded memory of hashes; no text is kept.
Must not: know what engines really cache: it tells who was asked last.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from engines.protocol.requests import AnyRequest, ChatRequest

_MOST_ENTRIES = 16_384
_MOST_TURNS = 64


@dataclass(frozen=True, slots=True)
class Beginnings:
    """The beginnings of one conversation, each a turn longer: their hashes and their shares."""

    hashes: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()


def beginnings_of(request: AnyRequest) -> Beginnings:
    """Return the beginnings of a chat request, the shortest first; none of any other."""
    if not isinstance(request, ChatRequest):
        return Beginnings()
    before, chars = 0, 0
    hashes, lengths = [], []
    for message in request.messages[:_MOST_TURNS]:
        text = message.text()
        before = hash((before, message.role, text))
        chars += len(text) + 1
        hashes.append(before)
        lengths.append(chars)
    total = chars + sum(len(message.text()) + 1 for message in request.messages[_MOST_TURNS:])
    return Beginnings(tuple(hashes), tuple(length / total for length in lengths))


class Prefixes:
    """Remembers, for each beginning, the model that read it last; the oldest are forgotten.

    Used from the event loop's thread only.
    """

    def __init__(self, most: int = _MOST_ENTRIES) -> None:
        self._most = most
        self._readers: OrderedDict[int, str] = OrderedDict()

    def __len__(self) -> int:
        """Return how many beginnings are remembered."""
        return len(self._readers)

    def seen(self, beginnings: Beginnings) -> dict[str, float]:
        """Return, by model, the greatest share of the conversation that it has read."""
        found: dict[str, float] = {}
        for one, share in zip(beginnings.hashes, beginnings.shares, strict=True):
            model = self._readers.get(one)
            if model is not None:
                found[model] = share
        return found

    def note(self, beginnings: Sequence[int], model: str) -> None:
        """Remember that a model has read these."""
        for one in beginnings:
            self._readers[one] = model
            self._readers.move_to_end(one)
        while len(self._readers) > self._most:
            self._readers.popitem(last=False)
