"""A runtime without llama.cpp: it checks what the batcher gives it, and its logits are reckoned.

The next token is a function of all tokens before it, so an answer is the same in any batch, and
wrong as soon as the cache holds anything else than the sequence's own tokens.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engines.llamacpp.batches import Piece, View
from engines.llamacpp.binding import Floats, Limits, Runtime, State
from engines.llamacpp.drafts import LONGEST_DRAFT
from engines.llamacpp.filling import MOST_ADDED
from engines.llamacpp.vocabulary import Vocabulary
from tests.support.toy_pooled import ToyPooled

SIZE = 64
END = SIZE - 1


@dataclass(frozen=True)
class Row:
    """One token of a step, and whether its logits are wanted."""

    token: int
    slot: int
    position: int
    wanted: bool


@dataclass(frozen=True, eq=False)
class _Cell:
    """A place of the cache; several sequences may hold the same one."""

    token: int
    adapter: int


class ToyVocabulary(Vocabulary):
    """Token n is the letter n places after `0`; the last token ends."""

    def __init__(self) -> None:
        self.size = SIZE
        self.ends = frozenset({END})

    def piece(self, token: int) -> bytes:
        return bytes([48 + token])


class ToyRuntime(Runtime):
    """`before` is called in the batcher's thread before each step, and may raise.

    `speaks` gives the logits behind a text. `full` steps are refused as a fragmented cache would.
    What begins with the `broken` token gets logits that are no numbers. Where it does not `cut`,
    what has left comes back whole. `stuck` caches take nothing back.
    """

    def __init__(
        self,
        *,
        cells: int = 200,
        parallel: int = 4,
        batch_tokens: int = 16,
        shares: bool = False,
        parks: bool = False,
        cuts: bool = True,
        apart: bool = False,
        drafts: bool = False,
        fills: bool = False,
        threads: int = 1,
    ) -> None:
        self.limits = Limits(cells, cells, parallel, batch_tokens, threads, threads, drafts)
        self.use_threads(threads, threads)
        self.cuts = cuts
        self.apart = apart
        self.on_gpu = False
        self.fills = fills
        self.outputs = max(parallel + MOST_ADDED * fills, 1 + LONGEST_DRAFT)
        self.vocabulary = ToyVocabulary()
        self.pooled = ToyPooled(batch_tokens=batch_tokens)
        self.shares = shares and cuts
        self.parks = shares or parks
        self.stuck = False
        self.left: dict[int, list[_Cell]] = {}  # states by the first number that they hold
        self.cache: dict[int, list[_Cell]] = {}
        self.steps: list[list[Row]] = []
        self.turns: list[int] = []
        self.added: list[int] = []  # rows that stand for nobody, step by step
        self.broken: int | None = None
        self.refused = 0
        self.before: Callable[[], None] = lambda: None
        self.full: Callable[[], bool] = lambda: False
        self.speaks: Callable[[Sequence[int], int], Floats] = _one_token

    def decode(self, pieces: Sequence[Piece], adapter: int = 0, added: int = 0) -> Floats | None:
        self.before()
        rows = rows_of(pieces)
        assert 0 < len(rows) <= len(rows) + added <= self.limits.batch_tokens
        assert sum(row.wanted for row in rows) + added <= self.outputs
        assert not added or self.held() + len(rows) + added <= self.limits.cells
        self.added.append(added)
        if self.full() or self.held() + len(rows) > self.limits.cells:
            self.refused += 1
            return None
        self.steps.append(rows)
        self.turns.append(adapter)
        logits: list[Floats] = []
        for row in rows:
            cells = self.cache.setdefault(row.slot, [])
            assert row.position == len(cells), "positions follow each other"
            assert row.slot < self.limits.parallel
            cells.append(_Cell(row.token, adapter))
            assert {cell.adapter for cell in cells} == {adapter}
            tokens = [cell.token for cell in cells]
            if row.wanted:
                line = self.speaks(tokens, adapter)
                line[:] = np.nan if tokens[0] == self.broken else line
                logits.append(line)
        return np.array(logits, dtype=np.float32).reshape(len(logits), SIZE)

    def look(self, view: View, adapter: int = 0) -> bool:
        self.before()
        assert 0 < view.count <= self.limits.batch_tokens
        assert not view.picture.whole or view.count == len(view.picture.ids)
        if self.full() or self.held() + view.count > self.limits.cells:
            self.refused += 1
            return False
        cells = self.cache.setdefault(view.slot, [])
        assert view.position + view.begun == len(cells), "a picture takes a position a token here"
        ids = view.picture.ids[view.begun : view.begun + view.count]
        cells += [_Cell(token, adapter) for token in ids]
        self.steps.append([Row(token, view.slot, view.position, wanted=False) for token in ids])
        return True

    def forget(self, slot: int) -> None:
        self.cache.pop(slot, None)

    def cut(self, slot: int, length: int) -> None:
        assert 0 < length < len(self.cache[slot])
        del self.cache[slot][length:]

    def share(self, donor: int, slot: int, length: int) -> None:
        assert self.shares
        assert slot not in self.cache, "an empty sequence takes the cells of another"
        assert 0 < length <= len(self.cache[donor])
        self.cache[slot] = self.cache[donor][:length]

    def left_bytes(self, slot: int) -> int:
        return 2 + 8 * len(self.cache[slot])

    def leaving(self, slot: int) -> State:
        name = len(self.left)
        self.left[name] = list(self.cache[slot])
        return np.array([name % 256, name // 256, *bytes(8 * len(self.cache[slot]))], np.uint8)

    def arrive(self, slot: int, state: State, length: int) -> bool:
        cells = self.left[int(state[0]) + 256 * int(state[1])]
        assert slot not in self.cache, "an empty sequence takes what another has left"
        assert 0 < length <= len(cells)
        assert self.cuts or length == len(cells)
        assert self.held() + len(cells) <= self.limits.cells, "all of it must find room first"
        if self.stuck:
            return False
        # Copies: nobody else has these cells.
        self.cache[slot] = [_Cell(cell.token, cell.adapter) for cell in cells[:length]]
        return True

    def held(self) -> int:
        return len({cell for cells in self.cache.values() for cell in cells})


class Gate:
    """Lets the batcher's thread through one step at a time, so that a test knows where it is."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.opened = threading.Semaphore(0)
        self.always = False

    def __call__(self) -> None:
        if not self.always:
            self.arrived.release()
            assert self.opened.acquire(timeout=20)

    def open_for_good(self) -> None:
        self.always = True
        self.opened.release()


def rows_of(pieces: Sequence[Piece]) -> list[Row]:
    """Return the single tokens of a step, in order."""
    return [
        Row(token, piece.slot, piece.position + at, at >= len(piece.tokens) - piece.wanted)
        for piece in pieces
        for at, token in enumerate(piece.tokens)
    ]


def _one_token(tokens: Sequence[int], adapter: int) -> Floats:
    line = np.zeros(SIZE, dtype=np.float32)
    line[following(tokens, adapter)] = 9
    return line


def following(tokens: Sequence[int], adapter: int = 0) -> int:
    """Return the token that comes after these; never the one that ends."""
    value = 7 + adapter
    for token in tokens:
        value = (value * 31 + token + 1) % 10_007
    return value % END


def answer(prompt: Sequence[int], count: int, adapter: int = 0) -> str:
    """Return what a sequence says when it is alone."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(following(tokens, adapter))
    return "".join(chr(48 + token) for token in tokens[len(prompt) :])
