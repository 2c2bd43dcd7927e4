"""Which models fit into memory together. Pure.

Owns: the sums and the comparisons.
Must not: know where needs or budgets come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from engines.memory import MemoryNeed, together

# So many models are tried in every company; of more, in the file's order.
_MOST_TRIED = 12
_MOST_TOLD = 8


@dataclass(frozen=True, slots=True)
class Company:
    """Who fits with whom.

    `too_large` fits nowhere, however empty the machine. `sets` are models that fit at once, each
    as large as can be; `pairs` never are in memory together.
    """

    all_fit: bool
    too_large: tuple[str, ...]
    sets: tuple[tuple[str, ...], ...]
    pairs: tuple[tuple[str, str], ...]


def fits(needs: Sequence[MemoryNeed], budget: Mapping[str, int]) -> bool:
    """Say whether these fit at once; a device that the budget does not name has no limit."""
    total = together(needs).by_device
    return all(total.get(device, 0) <= most for device, most in budget.items())


def company(needs: Mapping[str, MemoryNeed], budget: Mapping[str, int]) -> Company:
    """Return who fits with whom."""
    too_large = tuple(name for name, need in needs.items() if not fits([need], budget))
    rest = {name: need for name, need in needs.items() if name not in too_large}
    pairs = tuple(
        pair for pair in combinations(rest, 2) if not fits([rest[name] for name in pair], budget)
    )
    return Company(fits(list(needs.values()), budget), too_large, _sets(rest, budget), pairs)


def _sets(
    needs: Mapping[str, MemoryNeed], budget: Mapping[str, int]
) -> tuple[tuple[str, ...], ...]:
    """Return the sets that nobody else fits into, the largest first."""
    if fits(list(needs.values()), budget) or len(needs) > _MOST_TRIED:
        return (_filled(needs, budget),) if needs else ()
    found: list[tuple[str, ...]] = []
    for size in range(len(needs) - 1, 0, -1):
        for names in combinations(needs, size):
            if any(set(names) <= set(larger) for larger in found):
                continue
            if fits([needs[name] for name in names], budget):
                found.append(names)
    return tuple(found[:_MOST_TOLD])


def _filled(needs: Mapping[str, MemoryNeed], budget: Mapping[str, int]) -> tuple[str, ...]:
    taken: list[str] = []
    for name in needs:
        if fits([needs[other] for other in (*taken, name)], budget):
            taken.append(name)
    return tuple(taken)
