"""Which sequence holds which tokens in the KV cache, and what a new one shares. Pure values.

Owns: the exact count of cells, the longest common prefix, who is kept after its end, who leaves.
Must not: touch the cache, know requests or clocks. The caller does to the cache what it is told.

A cell holds what its adapter made of a token, so only sequences with the same one share.

| a slot is | left by |
|---|---|
| free | `admit` -> running |
| running | `retire` -> kept, or free where nothing is kept; `drop` -> free |
| kept | `drop` -> free: the least recently used first |
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from engines.llamacpp.scheduler import who_gives_way

Tokens = npt.NDArray[np.int32]

# A shorter prefix is evaluated twice sooner than a sequence waits a step for it.
_WORTH_A_STEP = 8
# Attention passes over kept cells too: after some 12,000 tokens of others that has cost about as
# much as evaluating them again (docs/decisions/0013). Most that come back come sooner.
_KEPT_FOR = 8_192


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a sequence would share if it were admitted now.

    `reused` of its tokens are in the cells of `donor`. `soon` counts those that a running
    sequence has there when its prompt is read. `cells` is what it takes beyond what running
    sequences hold.
    """

    donor: int | None
    reused: int
    soon: int
    cells: int

    @property
    def waits(self) -> bool:
        """Whether a step's patience saves evaluating what another evaluates at this moment."""
        return self.soon - self.reused >= _WORTH_A_STEP


@dataclass(frozen=True, slots=True)
class Admission:
    """First the `dropped` slots are emptied, then `reused` cells of `donor` shared with `slot`."""

    slot: int
    donor: int | None
    reused: int
    dropped: tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Run:
    """Cells from position `start` to `end` that the same sequences hold.

    Runs form a tree: what is `above` comes before. The last run of a slot is its own, so that it
    grows alone. `held` counts the sequences that hold it, `busy` those of them that run.
    """

    above: "_Run | None"
    start: int
    end: int
    held: int = 0
    busy: int = 0


@dataclass(slots=True, eq=False)
class _Holder:
    """A slot in use: the tokens that others may compare with, and its last run.

    A running one has its tokens before their cells: `last.end` of them are evaluated. A kept one
    was last of use when `used_at` tokens had been evaluated.
    """

    tokens: Tokens
    adapter: int
    last: _Run
    used_at: int = 0


class Prefixes:
    """The mirror of a cache of `cells` with `slots` sequences; owned by the batcher's thread.

    `used` cells hold something, `busy` of them belong to running sequences; shared ones count
    once. What has ended keeps up to `budget` cells beyond those. Without `sharing` nothing is
    kept or shared, only counted.
    """

    def __init__(self, slots: int, cells: int, budget: int, *, sharing: bool) -> None:
        self.used = 0
        self.busy = 0
        self._cells = cells
        self._budget = budget
        self._sharing = sharing
        self._evaluated = 0
        self._free = list(range(slots))
        self._running: dict[int, _Holder] = {}
        self._kept: dict[int, _Holder] = {}  # least recently used first

    @property
    def kept(self) -> tuple[int, ...]:
        """The slots of ended sequences, least recently used first."""
        return tuple(self._kept)

    def look(self, tokens: Tokens, adapter: int = 0) -> Outlook:
        """Return what a sequence could share; one token at least is left to be evaluated."""
        donor, reused, soon = None, 0, 0
        most = len(tokens) - 1
        if self._sharing:
            for slot, holder in (*self._running.items(), *self._kept.items()):
                if holder.adapter != adapter:
                    continue
                common = min(common_length(tokens, holder.tokens), most)
                soon = max(soon, common)
                if min(common, holder.last.end) > reused:
                    donor, reused = slot, min(common, holder.last.end)
        outlook = Outlook(donor, reused, soon, len(tokens) - self._overlap(donor, reused))
        return Outlook(donor, reused, soon, len(tokens) - soon) if outlook.waits else outlook

    def admit(self, tokens: Tokens, outlook: Outlook, adapter: int = 0) -> Admission:
        """Take a slot for a sequence; the caller sees to it that one is free or kept."""
        dropped: tuple[int, ...] = ()
        donor, reused = outlook.donor, outlook.reused
        if donor in self._kept:
            self._use(donor)
        if not self._free:
            oldest = next(iter(self._kept))
            self.drop(oldest)
            dropped = (oldest,)
            if oldest == donor:
                donor, reused = None, 0
        slot = self._free.pop()
        above = None if donor is None else self._cut(donor, reused)
        holder = _Holder(tokens, adapter, _Run(above, reused, reused))
        self._running[slot] = holder
        self._hold(holder.last, held=1, busy=1)
        return Admission(slot, donor, reused, dropped)

    def grow(self, slot: int, count: int) -> None:
        """Note that `count` more tokens of a running sequence are in the cache."""
        self._running[slot].last.end += count
        self._evaluated += count
        self.used += count
        self.busy += count

    def retire(self, slot: int, tokens: Tokens) -> tuple[int, ...]:
        """End a running sequence with these tokens in the cache; return the slots to be emptied.

        It is kept, unless another kept one begins with all of it.
        """
        dropped = self._keep(slot, tokens) if self._sharing and len(tokens) else [slot]
        for leaving in dropped:
            self.drop(leaving)
        while self.used - self.busy > self._budget and self._kept:
            dropped.append(next(iter(self._kept)))
            self.drop(dropped[-1])
        return tuple(dropped)

    def drop(self, slot: int) -> None:
        """Forget a slot; what others share with it stays. The next `retire` sees to the budget."""
        kept = slot in self._kept
        holder = self._kept.pop(slot) if kept else self._running.pop(slot)
        self._hold(holder.last, held=-1, busy=0 if kept else -1)
        self._free.append(slot)

    def who_leaves(self, running: Sequence[int], wanted: int) -> list[int]:
        """Return the slots to be dropped, in this order, so that `wanted` more tokens fit.

        `running` goes from the oldest to the youngest. Kept ones leave first, then the youngest;
        those that nobody has used for long leave in any case.
        """
        since = self._evaluated - _KEPT_FOR
        stale = [*takewhile(lambda slot: self._kept[slot].used_at < since, self._kept)]
        if self.used + wanted <= self._cells:
            return stale
        order = self._own((*running, *reversed(self._kept)))
        leaving = who_gives_way(order, wanted, self._cells)
        return max(leaving, stale, key=len)  # both begin with the least recently used

    def _keep(self, slot: int, tokens: Tokens) -> list[int]:
        """Let a running sequence become a kept one; return whom this makes superfluous."""
        holder = self._running.pop(slot)
        holder.tokens = tokens
        self._hold(holder.last, held=0, busy=-1)
        covered, covers = self._compare(holder)
        self._kept[slot] = holder
        self._use(slot)
        if covered is None:
            return covers
        self._use(covered)
        return [slot]

    def _use(self, kept: int) -> None:
        self._kept[kept] = self._kept.pop(kept)
        self._kept[kept].used_at = self._evaluated

    def _own(self, slots: Iterable[int]) -> list[tuple[int, int]]:
        """Return (slot, its cells that none of the slots before it holds)."""
        seen: set[_Run] = set()
        order: list[tuple[int, int]] = []
        for slot in slots:
            cells = 0
            run: _Run | None = (self._running.get(slot) or self._kept[slot]).last
            while run is not None and run not in seen:
                seen.add(run)
                cells += run.end - run.start
                run = run.above
            order.append((slot, cells))
        return order

    def _compare(self, holder: _Holder) -> tuple[int | None, list[int]]:
        """Return who is kept and begins with all of this one's tokens, and whom it begins with."""
        covers: list[int] = []
        for slot, kept in self._kept.items():
            if kept.adapter != holder.adapter:
                continue
            common = common_length(holder.tokens, kept.tokens)
            if common == len(holder.tokens):
                return slot, []
            if common == len(kept.tokens):
                covers.append(slot)
        return None, covers

    def _overlap(self, donor: int | None, length: int) -> int:
        """Return how many of a slot's first cells running sequences hold."""
        if donor is None:
            return 0
        run: _Run | None = (self._running.get(donor) or self._kept[donor]).last
        while run is not None and not (run.busy and run.start < length):
            run = run.above
        return 0 if run is None else min(run.end, length)

    def _cut(self, donor: int, length: int) -> _Run:
        """Return the run of a slot that ends at `length`, which is cut out where none does."""
        last = (self._running.get(donor) or self._kept[donor]).last
        run = last
        while run.start >= length:
            assert run.above is not None  # noqa: S101 - the first run starts at 0
            run = run.above
        if run.end == length and run is not last:
            return run
        run.above = _Run(run.above, run.start, length, run.held, run.busy)
        run.start = length
        return run.above

    def _hold(self, last: _Run, *, held: int, busy: int) -> None:
        """Add holders to a run and all above it, and count the cells that this takes or frees."""
        run: _Run | None = last
        while run is not None:
            was_held, was_busy = run.held > 0, run.busy > 0
            run.held += held
            run.busy += busy
            self.used += (run.end - run.start) * ((run.held > 0) - was_held)
            self.busy += (run.end - run.start) * ((run.busy > 0) - was_busy)
            run = run.above


def common_length(one: Tokens, other: Tokens) -> int:
    """Return how many first tokens two sequences have in common."""
    shorter = min(len(one), len(other))
    if not shorter or one[0] != other[0]:
        return 0
    differ = one[:shorter] != other[:shorter]
    first = int(differ.argmax())
    return first if differ[first] else shorter
