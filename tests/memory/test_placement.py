"""Who gets which GPUs: no more than there is, the same each time, and nobody is moved."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.memory.placement import Place, Rooms, Wish, places

_SIZES = st.integers(1, 120)
_ROOMS = st.lists(st.integers(0, 100), min_size=1, max_size=4).map(
    lambda sizes: {f"gpu{index}": size for index, size in enumerate(sizes)}
)


def spread(size: int) -> Callable[[Rooms], dict[str, int]]:
    """Return needs that are shared out by what is left, with one byte more for each GPU."""

    def needs(rooms: Rooms) -> dict[str, int]:
        total = sum(rooms.values()) or 1
        return {device: 1 + size * room // total for device, room in rooms.items()}

    return needs


def alike(size: int) -> Callable[[Rooms], dict[str, int]]:
    return lambda rooms: dict.fromkeys(rooms, size)


def wish(name: str, size: int, gpus: int | None = None) -> Wish:
    return Wish(name, spread(size) if gpus is None else alike(size), gpus)


_WISHES = st.lists(st.tuples(_SIZES, st.none() | st.integers(1, 3)), max_size=5).map(
    lambda rows: [wish(f"m{at}", size, gpus) for at, (size, gpus) in enumerate(rows)]
)


def taken(wishes: Sequence[Wish], found: Mapping[str, Place]) -> Counter[str]:
    """Return what those take who were said to fit; whose needs depend on the others is left out."""
    total: Counter[str] = Counter()
    for one in wishes:
        if found[one.name].fits and one.gpus is not None:
            total.update(one.needs(dict.fromkeys(found[one.name].devices, 1)))
    return total


@given(_WISHES, _ROOMS)
def test_no_gpu_is_given_more_than_it_has(wishes: list[Wish], rooms: Rooms) -> None:
    equal = [one for one in wishes if one.gpus is not None]
    found = places(equal, rooms, {})
    for device, size in taken(equal, found).items():
        assert size <= rooms[device]


@given(_WISHES, _ROOMS)
def test_each_gets_as_many_gpus_as_it_asks_for_each_once(wishes: list[Wish], rooms: Rooms) -> None:
    found = places(wishes, rooms, {})
    assert list(found) == [one.name for one in wishes]
    for one in wishes:
        devices = found[one.name].devices
        assert len(set(devices)) == len(devices) > 0
        assert set(devices) <= set(rooms)
        if one.gpus is not None:
            assert len(devices) == min(one.gpus, len(rooms))


@given(_WISHES, _ROOMS)
def test_the_same_question_has_the_same_answer_and_running_ones_stay(
    wishes: list[Wish], rooms: Rooms
) -> None:
    found = places(wishes, rooms, {})
    assert places(wishes, rooms, {}) == found
    kept = {name: place.devices for name, place in found.items() if place.fits}
    equal = [one for one in wishes if one.gpus is not None]
    again = places([*equal, wish("new", 10, 1)], rooms, kept)
    for one in equal:
        if found[one.name].fits:
            assert again[one.name] == found[one.name]


@given(st.lists(_SIZES, min_size=1, max_size=4))
def test_who_can_each_have_a_gpu_of_their_own_all_fit(sizes: list[int]) -> None:
    rooms = {f"gpu{at}": size for at, size in enumerate(sorted(sizes))}
    wishes = [wish(f"m{at}", size, 1) for at, size in enumerate(sizes)]
    assert all(place.fits for place in places(wishes, rooms, {}).values())


@pytest.mark.parametrize(
    ("sizes", "rooms", "devices"),
    [
        ([10], {"gpu0": 80, "gpu1": 24}, [("gpu1",)]),
        ([60, 10], {"gpu0": 80, "gpu1": 24}, [("gpu0",), ("gpu0",)]),
        ([90], {"gpu0": 80, "gpu1": 24}, [("gpu0", "gpu1")]),
        ([70, 70], {"gpu0": 80, "gpu1": 80}, [("gpu0",), ("gpu1",)]),
    ],
    ids=["the fullest that has room", "gaps are filled", "two where one is too small", "apart"],
)
def test_a_model_gets_the_fewest_gpus_and_the_fullest(
    sizes: list[int], rooms: Rooms, devices: list[tuple[str, ...]]
) -> None:
    wishes = [wish(f"m{at}", size) for at, size in enumerate(sizes)]
    assert [one.devices for one in places(wishes, rooms, {}).values()] == devices


def test_parallel_parts_get_equal_gpus_and_leave_the_small_one_out() -> None:
    rooms = {"gpu0": 80, "gpu1": 24, "gpu2": 80}
    found = places([wish("big", 70, 2), wish("small", 20, 1)], rooms, {})
    assert found["big"] == Place(("gpu0", "gpu2"), fits=True)
    assert found["small"] == Place(("gpu1",), fits=True)


def test_who_finds_no_room_takes_turns_where_it_would_fit_and_least_is_taken() -> None:
    rooms = {"gpu0": 80, "gpu1": 80, "gpu2": 10}
    found = places([wish("a", 70), wish("b", 60), wish("c", 50)], rooms, {})
    assert found["a"].fits
    assert found["b"].fits
    assert found["c"] == Place(("gpu1",), fits=False)
    assert places([wish("huge", 900)], rooms, {})["huge"] == Place(tuple(rooms), fits=False)
