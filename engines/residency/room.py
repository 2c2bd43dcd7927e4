"""Whether units fit together into the memory that there is.

Owns: the sums. Must not: know states or requests.
"""

from collections.abc import Collection, Iterable, Mapping

from engines.memory import in_words
from engines.residency.units import Unit


class Room:
    """Reckons with whole sets of units, so that nothing can be counted twice. Immutable.

    Units that are `asleep` have handed their memory back until somebody wakes them.
    """

    def __init__(
        self, budget: Mapping[str, int], units: Mapping[str, Unit], asleep: Collection[str]
    ) -> None:
        self._budget = budget
        self._units = units
        self._asleep = asleep

    def fits(self, name: str, others: Collection[str]) -> bool:
        """Say whether a unit may be in memory beside others; it may be one of them."""
        if any(self.exclude(name, other) for other in others if other != name):
            return False
        awake = [other for other in others if other != name and other not in self._asleep]
        return self._within([self._units[one] for one in (name, *awake)])

    def with_awake(self, name: str) -> "Room":
        """Return the same where a unit is not asleep."""
        if name not in self._asleep:
            return self
        return Room(self._budget, self._units, [one for one in self._asleep if one != name])

    def exclude(self, name: str, other: str) -> bool:
        """Say whether two units must not be in memory together, whoever of them says so."""
        return other in self._units[name].excludes or name in self._units[other].excludes

    def _within(self, units: Collection[Unit]) -> bool:
        return all(
            sum(unit.needs.get(device, 0) for unit in units) <= most
            for device, most in self._budget.items()
        )


def why_never(unit: Unit, pinned: Iterable[Unit], budget: Mapping[str, int]) -> str | None:
    """Say why a unit never fits beside those that are pinned, None where it does."""
    beside = list(pinned)
    for device, most in budget.items():
        need, taken = unit.needs.get(device, 0), sum(one.needs.get(device, 0) for one in beside)
        if need and need + taken > most:
            kept = f", of which {in_words(taken)} are pinned" if taken else ""
            known = " (measured)" if unit.measured else ""
            needs = f"it needs {in_words(need)} of {device}{known}"
            return f"{needs}, and the budget is {in_words(most)}{kept}"
    return None
