"""Whether units fit together into the memory that there is.

Owns: the sums. Must not: know states or requests.
"""

from collections.abc import Collection, Iterable, Mapping

from engines.memory import in_words
from engines.residency.units import Unit


class Room:
    """Reckons with whole sets of units, so that nothing can be counted twice. Immutable.

    Units that are `asleep` take what they keep then; those that fall asleep just now, `drowsy`,
    have not given anything up yet.
    """

    def __init__(
        self,
        budget: Mapping[str, int],
        units: Mapping[str, Unit],
        asleep: Collection[str],
        drowsy: Collection[str] = (),
    ) -> None:
        self._budget = budget
        self._units = units
        self._asleep = asleep
        self._drowsy = drowsy

    def fits(self, name: str, others: Collection[str]) -> bool:
        """Say whether a unit may be in memory beside others; it may be one of them."""
        if any(self.exclude(name, other) for other in others if other != name):
            return False
        beside = [self._taken(other) for other in others if other != name]
        return self._within([self._units[name].needs, *beside])

    def holds(self, names: Collection[str]) -> bool:
        """Say whether all of these are within the budget, as they are."""
        return self._within([self._taken(name) for name in names])

    def with_awake(self, name: str) -> "Room":
        """Return the same where a unit is not asleep."""
        if name not in self._asleep:
            return self
        asleep = [one for one in self._asleep if one != name]
        return Room(self._budget, self._units, asleep, self._drowsy)

    def with_asleep(self, name: str) -> "Room":
        """Return the same where a unit is asleep."""
        return Room(self._budget, self._units, [*self._asleep, name], self._drowsy)

    def with_drowsy(self, name: str) -> "Room":
        """Return the same where a unit falls asleep."""
        return Room(self._budget, self._units, self._asleep, [*self._drowsy, name])

    def exclude(self, name: str, other: str) -> bool:
        """Say whether two units must not be in memory together, whoever of them says so."""
        return other in self._units[name].excludes or name in self._units[other].excludes

    def _taken(self, name: str) -> Mapping[str, int]:
        unit = self._units[name]
        asleep = unit.asleep or {}
        if name in self._drowsy:
            devices = {*unit.needs, *asleep}
            return {d: max(unit.needs.get(d, 0), asleep.get(d, 0)) for d in devices}
        return asleep if name in self._asleep else unit.needs

    def _within(self, taken: Collection[Mapping[str, int]]) -> bool:
        return all(
            sum(one.get(device, 0) for one in taken) <= most
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
