"""What ended sequences leave for later, outside the KV cache: their cells as llama.cpp writes them.

Owns: what is kept under which bounds, who leaves, which of them begins as a new prompt does.
Must not: read or write a cache; the batcher does.

Kept in the cache itself, they would cost every step of everybody else (docs/decisions/0025).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engines.llamacpp.binding import State
from engines.llamacpp.prefixes import NOTHING, Find, Tokens, common_length

# Looking through them takes time as well: however short, each counts as so many tokens.
_LEAST_TOKENS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Leaving:
    """What one sequence left: its tokens, and the cells that an adapter made of them."""

    tokens: Tokens
    adapter: int
    state: State


class Parked:
    """At most `most_tokens` and `most_bytes` of states, the least recently used leave first.

    `cuts`: a state can be shortened; otherwise it is of use to prompts that begin with all of it.
    Mutable; belongs to the batcher's thread.
    """

    def __init__(self, most_tokens: int, most_bytes: int, *, cuts: bool) -> None:
        self.bytes = 0
        self._tokens = 0
        self._most_tokens = most_tokens
        self._most_bytes = most_bytes
        self._cuts = cuts
        self._kept: dict[int, Leaving] = {}  # least recently used first
        self._next = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Leaving]:
        return iter(self._kept.values())

    def find(self, tokens: Tokens, adapter: int = 0) -> Find:
        """Return which state begins most like a prompt; one token at least is left to evaluate."""
        best, most = NOTHING, len(tokens) - 1
        for key, leaving in self._kept.items():
            if leaving.adapter != adapter or not (self._cuts or len(leaving.tokens) <= most):
                continue
            common = min(common_length(tokens, leaving.tokens), most)
            if common > best.reused and (self._cuts or common == len(leaving.tokens)):
                best = Find(key, common)
        return best

    def take(self, key: int) -> Leaving:
        """Return a state that `find` has named, and count it as used."""
        leaving = self._kept[key] = self._kept.pop(key)
        return leaving

    def holds(self, tokens: Tokens, adapter: int = 0) -> bool:
        """Say whether nothing is won by keeping these tokens, for one kept has them all."""
        for key, leaving in self._kept.items():
            if leaving.adapter == adapter and len(leaving.tokens) >= len(tokens):
                common = common_length(tokens, leaving.tokens)
                if common == len(tokens) and (self._cuts or common == len(leaving.tokens)):
                    self.take(key)
                    return True
        return False

    def make_room(self, tokens: Tokens, adapter: int, size: int) -> bool:
        """Let go of what must leave for a state of so many bytes, and of whoever it begins with.

        False, and nothing leaves: it is too large to be kept.
        """
        counted = _counted(tokens)
        if counted > self._most_tokens or size > self._most_bytes:
            return False
        if self._cuts:
            alike = [key for key, o in self._kept.items() if o.adapter == adapter]
            for key in alike:
                begins = self._kept[key].tokens
                if common_length(tokens, begins) == len(begins):
                    self.drop(key)
        while self._kept and not self._has_room(counted, size):
            self.drop(next(iter(self._kept)))
        return True

    def keep(self, leaving: Leaving) -> None:
        """Keep a state, for which there is room now; of one that is too large nothing is."""
        if self.make_room(leaving.tokens, leaving.adapter, leaving.state.nbytes):
            self.put(leaving)

    def put(self, leaving: Leaving) -> None:
        """Keep a state that `make_room` has made room for."""
        self._kept[self._next] = leaving
        self._next += 1
        self._tokens += _counted(leaving.tokens)
        self.bytes += leaving.state.nbytes

    def drop(self, key: int) -> None:
        """Let go of a state that `find` has named."""
        leaving = self._kept.pop(key)
        self._tokens -= _counted(leaving.tokens)
        self.bytes -= leaving.state.nbytes

    def _has_room(self, counted: int, size: int) -> bool:
        return self._tokens + counted <= self._most_tokens and self.bytes + size <= self._most_bytes


def _counted(tokens: Tokens) -> int:
    return max(len(tokens), _LEAST_TOKENS)
