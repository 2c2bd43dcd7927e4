"""Which running sequence holds which tokens in the KV cache, and what a new one shares. Pure.

Owns: the exact count of cells, the longest common prefix, who leaves when there is no room.
Must not: touch the cache, know requests or clocks. The caller does to the cache what it is told.

A cell holds what its adapter made of a token, so only sequences with the same one share.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engines.llamacpp.scheduler import WHOLE, who_gives_way

Tokens = npt.NDArray[np.int32]

# A shorter prefix is evaluated twice sooner than a sequence waits a step for it.
WORTH_A_STEP = 8


@dataclass(frozen=True, slots=True)
class Find:
    """Who begins as a prompt does, and with how many of its tokens; `source` None is nobody."""

    source: int | None
    reused: int


NOTHING = Find(None, 0)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a sequence would share if it were admitted now.

    `reused` of its tokens are in the cells of `donor`. `soon` counts those that a running
    sequence has there when its prompt is read. `cells` is what it takes beyond what is held.
    """

    donor: int | None
    reused: int
    soon: int
    cells: int

    @property
    def waits(self) -> bool:
        """Whether a step's patience saves evaluating what another evaluates at this moment."""
        return self.soon - self.reused >= WORTH_A_STEP


@dataclass(slots=True, eq=False)
class _Run:
    """Cells from position `start` to `end` that the same `held` sequences hold.

    Runs form a tree: what is `above` comes before. The last run of a slot is its own, so that it
    grows alone.
    """

    above: "_Run | None"
    start: int
    end: int
    held: int = 0


@dataclass(slots=True, eq=False)
class _Holder:
    """A slot in use: the tokens that others may compare with, and its last run.

    It has its tokens before their cells: `last.end` of them are in the cache.
    """

    tokens: Tokens
    adapter: int
    last: _Run

    @property
    def left(self) -> int:
        """How many of its tokens are still to be read."""
        return max(0, len(self.tokens) - self.last.end)


class Prefixes:
    """The mirror of a cache of `cells` with `slots` sequences; owned by the batcher's thread.

    `used` cells hold something; shared ones count once. Without `sharing` they are only counted.
    """

    def __init__(self, slots: int, cells: int, *, sharing: bool) -> None:
        self.used = 0
        self._cells = cells
        self._sharing = sharing
        self._free = list(range(slots))
        self._holders: dict[int, _Holder] = {}

    def look(self, tokens: Tokens, adapter: int = 0, whole: Callable[[int], int] = int) -> Outlook:
        """Return what a sequence could share; one token at least is left to be evaluated.

        `whole` says how many of so many first tokens may be shared, where no picture may be cut.
        """
        donor, reused, soon = None, 0, 0
        most = len(tokens) - 1
        if self._sharing:
            for slot, holder in self._holders.items():
                if holder.adapter != adapter:
                    continue
                common = whole(min(common_length(tokens, holder.tokens), most))
                there = whole(min(common, holder.last.end))
                waits = common > there and self._is_waited_for(holder, len(tokens), there)
                soon = max(soon, common if waits else there)
                if there > reused:
                    donor, reused = slot, there
        outlook = Outlook(donor, reused, soon, len(tokens) - reused)
        return replace(outlook, cells=len(tokens) - soon) if outlook.waits else outlook

    def _is_waited_for(self, holder: _Holder, wanted: int, there: int) -> bool:
        """Say whether a prompt of `wanted` tokens waits for what a holder still has to read.

        What has less left to read is read first (`scheduler`), so a holder may get nothing for
        long. A short prompt waits only for what is read in a step, another one for no more tokens
        of others than it would have to read itself.
        """
        if wanted <= WHOLE or holder.left <= WHOLE:
            return holder.left <= WHOLE
        before = (o.left for o in self._holders.values() if o.adapter == holder.adapter)
        return sum(left for left in before if left < holder.left) <= wanted - there

    def admit(self, tokens: Tokens, outlook: Outlook, adapter: int = 0) -> int:
        """Return the slot that a sequence has from now on; the caller sees to it that one is free.

        It begins with the `reused` cells of its donor, which the caller shares with it.
        """
        slot = self._free.pop()
        above = None if outlook.donor is None else self._cut(outlook.donor, outlook.reused)
        holder = _Holder(tokens, adapter, _Run(above, outlook.reused, outlook.reused))
        self._holders[slot] = holder
        self._hold(holder.last, 1)
        return slot

    def grow(self, slot: int, count: int) -> None:
        """Note that `count` more tokens of a sequence are in the cache."""
        self._holders[slot].last.end += count
        self.used += count

    def drop(self, slot: int) -> None:
        """Forget a slot; what others share with it stays."""
        self._hold(self._holders.pop(slot).last, -1)
        self._free.append(slot)

    def who_leaves(self, running: Sequence[int], wanted: int) -> list[int]:
        """Return the slots to be dropped, in this order, so that `wanted` more tokens fit.

        `running` goes from the oldest to the youngest, who leaves first.
        """
        if self.used + wanted <= self._cells:
            return []
        return who_gives_way(self._own(running), wanted, self._cells)

    def _own(self, slots: Iterable[int]) -> list[tuple[int, int]]:
        """Return (slot, its cells that none of the slots before it holds)."""
        seen: set[_Run] = set()
        order: list[tuple[int, int]] = []
        for slot in slots:
            cells = 0
            run: _Run | None = self._holders[slot].last
            while run is not None and run not in seen:
                seen.add(run)
                cells += run.end - run.start
                run = run.above
            order.append((slot, cells))
        return order

    def _cut(self, donor: int, length: int) -> _Run:
        """Return the run of a slot that ends at `length`, which is cut out where none does."""
        last = self._holders[donor].last
        run = last
        while run.start >= length:
            assert run.above is not None  # noqa: S101 - the first run starts at 0
            run = run.above
        if run.end == length and run is not last:
            return run
        run.above = _Run(run.above, run.start, length, run.held)
        run.start = length
        return run.above

    def _hold(self, last: _Run, held: int) -> None:
        """Add holders to a run and all above it, and count the cells that this takes or frees."""
        run: _Run | None = last
        while run is not None:
            before = run.held > 0
            run.held += held
            self.used += (run.end - run.start) * ((run.held > 0) - before)
            run = run.above


def common_length(one: Tokens, other: Tokens) -> int:
    """Return how many first tokens two sequences have in common."""
    shorter = min(len(one), len(other))
    if not shorter or one[0] != other[0]:
        return 0
    differ = one[:shorter] != other[:shorter]
    first = int(differ.argmax())
    return first if differ[first] else shorter
