"""Which GPUs each replica gets, where the file leaves that open.

Owns: the decision, pure and the same at every reading.
Must not: ask a driver; know engines.

Who runs already stays where it is, where it still fits. Then the largest come first. Each gets the
fewest GPUs that have room for it beside the others: of several those that are most alike, for the
smallest decides; of those the fullest, so that large gaps stay for large models. Who finds no such
place takes turns with others: it gets the GPUs that would have room if they were empty, the least
taken first; where there are none, all that it can use.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

# Device -> bytes that are left of it.
Rooms: TypeAlias = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Wish:
    """A replica that is to have GPUs.

    `needs` returns the bytes that it takes of each of some GPUs, given what is left of them. It
    gets exactly `gpus` of them, each for an equal share, or with None as few as do.
    """

    name: str
    needs: Callable[[Rooms], Mapping[str, int]]
    gpus: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The GPUs of a replica; where it does not `fit` beside the others, they take turns."""

    devices: tuple[str, ...]
    fits: bool


def places(
    wishes: Sequence[Wish],
    rooms: Rooms,
    kept: Mapping[str, tuple[str, ...]],
    fixed: Mapping[str, tuple[str, ...]] | None = None,
) -> dict[str, Place]:
    """Return the place of each replica, by name; `kept` is where those are that run.

    Whose place is `fixed` by somebody else have it before all others, whether there is room or not.
    """
    return _Placing(rooms).all(wishes, kept, fixed or {})


class _Placing:
    """One decision; `left` is what nobody has been given yet."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = dict(rooms)
        self._left = dict(rooms)
        self._found: dict[str, Place] = {}

    def all(
        self,
        wishes: Sequence[Wish],
        kept: Mapping[str, tuple[str, ...]],
        fixed: Mapping[str, tuple[str, ...]],
    ) -> dict[str, Place]:
        for wish in wishes:
            if wish.name in fixed:
                devices = fixed[wish.name]
                self._give(wish, devices, fits=self._fits(wish, devices))
        for wish in wishes:
            devices = () if wish.name in fixed else kept.get(wish.name, ())
            if devices and len(devices) in self._sizes(wish) and self._fits(wish, devices):
                self._give(wish, devices, fits=True)
        rest = [wish for wish in wishes if wish.name not in self._found]
        # Sorting keeps the file's order among those that are as large as each other.
        for wish in sorted(rest, key=self._size, reverse=True):
            place = self._beside_others(wish)
            self._give(wish, place or self._in_turns(wish), fits=place is not None)
        return {wish.name: self._found[wish.name] for wish in wishes}

    def _beside_others(self, wish: Wish) -> tuple[str, ...] | None:
        fullest = sorted(self._left, key=lambda device: self._left[device])
        return self._first(wish, fullest, self._left)

    def _in_turns(self, wish: Wish) -> tuple[str, ...]:
        least = sorted(self._rooms, key=self._taken)
        count = len(self._rooms) if wish.gpus is None else wish.gpus
        roomiest = sorted(self._rooms, key=lambda device: -self._rooms[device])[:count]
        return self._first(wish, least, self._rooms) or self._in_order(roomiest)

    def _first(self, wish: Wish, order: Sequence[str], rooms: Rooms) -> tuple[str, ...] | None:
        """Return the fewest neighbours in this order that have room: most alike, else the first."""
        for count in self._sizes(wish):
            stretches = (order[at : at + count] for at in range(len(order) - count + 1))
            found = [one for one in map(self._in_order, stretches) if self._fits(wish, one, rooms)]
            if found:
                return min(found, key=lambda devices: _spread([rooms[one] for one in devices]))
        return None

    def _in_order(self, devices: Iterable[str]) -> tuple[str, ...]:
        chosen = set(devices)
        return tuple(device for device in self._rooms if device in chosen)

    def _sizes(self, wish: Wish) -> range:
        if wish.gpus is None:
            return range(1, len(self._rooms) + 1)
        return range(wish.gpus, wish.gpus + 1)

    def _fits(self, wish: Wish, devices: tuple[str, ...], rooms: Rooms | None = None) -> bool:
        rooms = self._left if rooms is None else rooms
        mine = {device: rooms.get(device, 0) for device in devices}
        if any(room <= 0 for room in mine.values()):
            return False
        return all(wish.needs(mine).get(device, 0) <= room for device, room in mine.items())

    def _give(self, wish: Wish, devices: tuple[str, ...], *, fits: bool) -> None:
        rooms = self._left if fits else self._rooms
        needs = wish.needs({device: rooms[device] for device in devices})
        for device in devices:
            self._left[device] -= needs.get(device, 0)
        self._found[wish.name] = Place(devices, fits)

    def _taken(self, device: str) -> float:
        return (self._rooms[device] - self._left[device]) / max(1, self._rooms[device])

    def _size(self, wish: Wish) -> int:
        roomiest = sorted(self._rooms, key=lambda device: -self._rooms[device])
        mine = {device: self._rooms[device] for device in roomiest[: wish.gpus or 1]}
        return sum(wish.needs(mine).values())


def _spread(rooms: Sequence[int]) -> int:
    return max(rooms) - min(rooms)
