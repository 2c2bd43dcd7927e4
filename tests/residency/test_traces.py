"""What holds of whole traces of requests in virtual time, whatever comes."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.residency import Rules, Unit
from engines.residency.room import Room
from tests.support.virtual import Arrival, Moment, Simulation, World, loads_in_order

BOUND_S = 8.0
MANY = settings(max_examples=150, deadline=None)


def exclusive(count: int) -> World:
    """Return a world of units of which one alone fits."""
    names = "abcdef"[:count]
    rules = Rules({"ram": 10}, swap_bound_s=BOUND_S)
    return World(rules, {name: Unit(name, {"ram": 6}) for name in names})


def traces(names: str, most: int = 25) -> st.SearchStrategy[list[Arrival]]:
    """Return traces with pauses of up to some loads between requests that take up to as long."""
    request = st.tuples(st.integers(0, 12), st.sampled_from(names), st.integers(1, 16))

    def trace(parts: list[tuple[int, str, int]]) -> list[Arrival]:
        found, now_s = [], 0.0
        for pause, name, runs in parts:
            now_s += pause / 2 + 0.001  # nobody comes at the same moment as somebody else
            found.append(Arrival(now_s, name, runs / 2))
        return found

    return st.lists(request, min_size=1, max_size=most).map(trace)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Return worlds of three to five units of any sizes on two devices, of which each fits."""
    names = "abcde"[: draw(st.integers(3, 5))]
    sizes = st.integers(1, 10)
    pinned = draw(st.sampled_from((None, None, *names)))
    units = {}
    for name in names:
        needs = {"ram": draw(sizes), "gpu:0": draw(st.integers(0, 8))}
        if name == pinned:
            needs = {"ram": 2, "gpu:0": 0}
        asleep = {"ram": draw(st.integers(0, 12)), "gpu:0": draw(st.integers(0, 1))}
        units[name] = Unit(
            name,
            needs,
            asleep=draw(st.sampled_from((None, asleep))),
            pinned=name == pinned,
            keep_alive_s=draw(st.sampled_from((None, None, 20.0))),
            min_resident_s=draw(st.sampled_from((0.0, 0.0, 5.0, 60.0))),
        )
    if pinned is None and draw(st.booleans()):
        units["a"] = replace(units["a"], excludes=frozenset({"b"}))
    budget = {"ram": 12, "gpu:0": draw(st.sampled_from((8, 12)))}
    return World(
        Rules(budget, swap_bound_s=BOUND_S),
        units,
        load_s=draw(st.sampled_from((0.5, 3.0))),
        places=draw(st.sampled_from((1, 4))),
    )


def run(world: World, arrivals: list[Arrival]) -> Simulation:
    found = Simulation(world, arrivals)
    found.run()
    return found


def overtaken(simulation: Simulation) -> list[str]:
    """Return who was admitted before an older request that had waited for the bound.

    Those are left out that are in nobody's way: both fit together beside what is pinned and there.
    """
    world = simulation.world
    room = Room(world.rules.budget, world.units, ())
    return [
        f"{moment.job} at {moment.now_s} before {older}"
        for moment in simulation.admissions
        for older in moment.waiting
        if older.arrival.unit != moment.job.arrival.unit
        and older.since_s < moment.job.since_s
        and moment.now_s > older.since_s + world.rules.swap_bound_s
        and not room.fits(older.arrival.unit, _pinned(moment, world) | {moment.job.arrival.unit})
    ]


def _pinned(moment: Moment, world: World) -> set[str]:
    return {name for name in moment.here if world.units[name].pinned}


@MANY
@given(worlds().flatmap(lambda w: st.tuples(st.just(w), traces("".join(w.units)))))
def test_every_request_ends_the_budget_holds_and_nobody_is_overtaken_after_the_bound(
    given_: tuple[World, list[Arrival]],
) -> None:
    world, arrivals = given_
    found = run(world, arrivals)
    assert all(job.ended_s is not None for job in found.jobs)
    assert all(used <= world.rules.budget[device] for device, used in found.most.items())
    assert overtaken(found) == []


@MANY
@given(st.sampled_from((2, 3, 5)).flatmap(lambda n: st.tuples(st.just(n), traces("abcdef"[:n]))))
def test_where_one_alone_fits_whoever_has_waited_for_the_bound_is_before_all_who_came_later(
    given_: tuple[int, list[Arrival]],
) -> None:
    count, arrivals = given_
    found = run(exclusive(count), arrivals)
    for moment in found.admissions:
        for older in moment.waiting:
            late = moment.now_s > older.since_s + BOUND_S
            assert not (late and older.since_s < moment.job.since_s), (moment.job, older)


def test_of_two_that_share_a_gpu_each_is_loaded_once_and_then_wakes() -> None:
    units = {n: Unit(n, {"gpu:0": 6}, asleep={"gpu:0": 1, "ram": 6}) for n in "ab"}
    rules = Rules({"gpu:0": 10, "ram": 20}, swap_bound_s=BOUND_S)
    arrivals = [Arrival(20.0 * turn, "ab"[turn % 2], 1.0) for turn in range(10)]
    found = run(World(rules, units), arrivals)
    assert (found.loads, found.wakes) == (2, 8)
    small = run(World(replace(rules, budget={"gpu:0": 10, "ram": 5}), units), arrivals)
    assert (small.loads, small.wakes) == (10, 0)


@MANY
@given(traces("ab", most=40), st.sampled_from((0.0, 5.0, 60.0)), st.sampled_from((1, 4)))
def test_of_two_that_exclude_each_other_never_more_loads_than_in_the_order_of_arrival(
    arrivals: list[Arrival], min_resident_s: float, places: int
) -> None:
    world = exclusive(2)
    units = {n: replace(u, min_resident_s=min_resident_s) for n, u in world.units.items()}
    world = replace(world, units=units, places=places)
    assert run(world, arrivals).loads <= loads_in_order(world, arrivals)


@pytest.mark.parametrize("count", [3, 4, 5])
def test_of_several_no_more_loads_in_sum_than_in_the_order_of_arrival(count: int) -> None:
    ours = in_order = 0
    for seed in range(20):
        chance = random.Random(seed)  # noqa: S311 - a trace that is the same every time
        arrivals, now_s = [], 0.0
        for _ in range(60):
            now_s += chance.expovariate(1.0)
            arrivals.append(Arrival(now_s, chance.choice("abcde"[:count]), chance.uniform(0.2, 6)))
        for budget in (10, 14):
            world = exclusive(count)
            world = replace(world, rules=replace(world.rules, budget={"ram": budget}))
            ours += run(world, arrivals).loads
            in_order += loads_in_order(world, arrivals)
    assert ours <= in_order
