"""The cells of one context: who gets which, what they begin with, what is kept when they leave.

Owns: doing to the cache what `prefixes` and `parked` decide, so that mirror and cache agree.
Must not: know requests, or decide who runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engines.llamacpp.binding import Runtime
from engines.llamacpp.parked import Leaving, Parked
from engines.llamacpp.pictures import NO_PICTURES, Layout, is_text
from engines.llamacpp.prefixes import NOTHING, WORTH_A_STEP, Find, Outlook, Prefixes, Tokens

# So many tokens are kept for each cell at most: of those who run, and as many that have ended.
_PARKED_SHARE = 2


@dataclass(frozen=True, slots=True)
class Start:
    """How a sequence would begin now: with cells of a running one, or with what one has left.

    `waits`: a step later it could begin with more. `cells` is what it will take beyond what is
    held, when all its tokens are read.
    """

    outlook: Outlook
    found: Find
    cells: int

    @property
    def waits(self) -> bool:
        """Whether it is worth waiting for what another reads at this moment."""
        return self.found is NOTHING and self.outlook.waits


class Cells:
    """The cache of a runtime. Mutable; belongs to the batcher's thread."""

    def __init__(self, runtime: Runtime) -> None:
        limits = runtime.limits
        self._runtime = runtime
        self._prefixes = Prefixes(limits.parallel, limits.cells, sharing=runtime.shares)
        most = _PARKED_SHARE * limits.cells
        self._parked = Parked(most, limits.parked_bytes, cuts=runtime.cuts)

    @property
    def parked(self) -> Parked:
        """What sequences have left."""
        return self._parked

    @property
    def used(self) -> int:
        """How many cells hold something; shared ones count once."""
        return self._prefixes.used

    @property
    def parked_bytes(self) -> int:
        """How much memory that takes which sequences have left."""
        return self._parked.bytes

    def look(self, tokens: Tokens, adapter: int, layout: Layout = NO_PICTURES) -> Start:
        """Return how a sequence would begin; what has ended counts where it saves a step more.

        `layout` says where there are pictures among its tokens.
        """
        outlook = self._prefixes.look(tokens, adapter, layout.whole)
        if self._runtime.parks:
            found = self._whole(self._parked.find(tokens, adapter), layout)
            if found.reused >= max(outlook.reused, outlook.soon) + WORTH_A_STEP:
                return Start(outlook, found, len(tokens))
        return Start(outlook, NOTHING, outlook.cells)

    def afresh(self, tokens: Tokens) -> Start:
        """Return how a sequence begins that must evaluate all its tokens, whatever is kept."""
        return Start(Outlook(None, 0, 0, len(tokens)), NOTHING, len(tokens))

    def admit(
        self, tokens: Tokens, adapter: int, start: Start, layout: Layout = NO_PICTURES
    ) -> tuple[int, int]:
        """Return the slot of a sequence, and how many of its tokens are in the cache already."""
        if start.found.source is not None:
            slot = self._prefixes.admit(tokens, Outlook(None, 0, 0, len(tokens)), adapter)
            return slot, self._unpark(slot, start.found, layout)
        outlook = start.outlook
        slot = self._prefixes.admit(tokens, outlook, adapter)
        if outlook.donor is not None:
            self._runtime.share(outlook.donor, slot, layout.position(outlook.reused))
        return slot, outlook.reused

    def grow(self, slot: int, count: int) -> None:
        """Note that so many more tokens of a sequence were evaluated."""
        self._prefixes.grow(slot, count)

    def leave(self, slot: int, tokens: Tokens | None, adapter: int) -> None:
        """Empty a slot; the `tokens` that it has in the cache are kept, None keeps nothing."""
        if tokens is not None and self._is_worth_keeping(tokens, adapter):
            self._keep(slot, tokens, adapter)
        self._prefixes.drop(slot)
        self._runtime.forget(slot)

    def who_leaves(self, running: Sequence[int], wanted: int) -> list[int]:
        """Return the slots that must be left, in this order, so that `wanted` more tokens fit.

        `running` goes from the oldest to the youngest, who leaves first.
        """
        return self._prefixes.who_leaves(running, wanted)

    def _keep(self, slot: int, tokens: Tokens, adapter: int) -> None:
        """Keep what a slot has, of what is larger than all that may be kept its beginning."""
        size = self._runtime.left_bytes(slot)
        most = self._runtime.limits.parked_bytes
        if size > most:
            tokens = tokens[: max(0, len(tokens) * most // size - 1)]
            if not (self._may_be_cut(tokens) and self._is_worth_keeping(tokens, adapter)):
                return
            self._runtime.cut(slot, len(tokens))
            size = self._runtime.left_bytes(slot)
        if self._parked.make_room(tokens, adapter, size):  # before the copy, which is as large
            self._parked.put(Leaving(tokens, adapter, self._runtime.leaving(slot)))

    def _may_be_cut(self, tokens: Tokens) -> bool:
        """Say whether a sequence can end behind these tokens; where pictures end nobody knows."""
        return self._runtime.cuts and len(tokens) > 0 and is_text(int(tokens.min()))

    def _is_worth_keeping(self, tokens: Tokens, adapter: int) -> bool:
        if not self._runtime.parks or len(tokens) < WORTH_A_STEP:
            return False
        return not self._parked.holds(tokens, adapter)

    def _whole(self, found: Find, layout: Layout) -> Find:
        """Return a find that ends in no picture."""
        reused = layout.whole(found.reused)
        if reused == found.reused:
            return found
        return replace(found, reused=reused) if reused and self._runtime.cuts else NOTHING

    def _unpark(self, slot: int, found: Find, layout: Layout) -> int:
        """Let a sequence begin with what another has left; 0 where there is no room for it."""
        assert found.source is not None  # noqa: S101 - whoever asks has looked
        leaving = self._parked.take(found.source)
        room = self._runtime.limits.cells - self._prefixes.used
        if len(leaving.tokens) > room:
            return 0
        if not self._runtime.arrive(slot, leaving.state, layout.position(found.reused)):
            self._parked.drop(found.source)  # it would be refused each time
            return 0
        self._prefixes.grow(slot, found.reused)
        return found.reused
