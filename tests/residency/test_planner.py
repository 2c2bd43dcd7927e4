"""Who is loaded, who leaves and who is held, one decision at a time."""

import math
from dataclasses import replace

from engines.residency import Plan, Rules, Standing, State, Unit, decide, hopeless

GIB = 2**30
RULES = Rules({"ram": 10 * GIB}, swap_bound_s=10)
READY = Standing(State.READY, since_s=0, last_used_s=0)


def units(**needs: int) -> dict[str, Unit]:
    return {name: Unit(name, {"ram": gib * GIB}) for name, gib in needs.items()}


def plan(given: dict[str, Unit], now_s: float, /, **standings: Standing) -> Plan:
    every = {name: standings.get(name, Standing()) for name in given}
    return decide(RULES, given, every, now_s)


def waiting(*since_s: float) -> Standing:
    return Standing(waiting=since_s)


def test_what_is_asked_for_is_loaded_where_there_is_room() -> None:
    found = plan(units(a=6, b=4), 1, a=READY, b=waiting(1))
    assert found.load == ("b",)
    assert found.unload == ()


def test_an_idle_model_leaves_and_its_room_is_not_used_before_it_has_gone() -> None:
    both = units(a=6, b=6)
    assert plan(both, 1, a=READY, b=waiting(1)).unload == ("a",)
    ending = Standing(State.DRAINING)
    assert plan(both, 2, a=ending, b=waiting(1)) == Plan()
    assert plan(both, 3, b=waiting(1)).load == ("b",)


def test_who_was_used_longest_ago_for_its_load_leaves_first() -> None:
    three = units(a=5, b=5, c=5)
    used = replace(READY, last_used_s=90)
    assert plan(three, 100, a=READY, b=used, c=waiting(100)).unload == ("a",)
    dear = replace(READY, load_s=600)
    assert plan(three, 100, a=dear, b=used, c=waiting(100)).unload == ("b",)


def test_no_more_leave_than_must() -> None:
    found = plan(units(a=1, b=4, c=4, d=5), 100, a=READY, b=READY, c=READY, d=waiting(100))
    assert len(found.unload) == 1
    assert found.unload[0] in "bc"


def test_a_busy_model_stays_until_the_bound_and_then_admits_only_who_is_older() -> None:
    both = units(a=6, b=6)
    busy = replace(READY, running=1)
    before = plan(both, 9, a=busy, b=waiting(2))
    assert (before.unload, before.hold, before.look_at_s) == ((), {}, 12)
    after = plan(both, 12, a=busy, b=waiting(2))
    assert (after.unload, after.hold) == ((), {"a": 2})
    older = replace(READY, waiting=(1, 5))
    assert plan(both, 12, a=older, b=waiting(2)).unload == ()
    younger = replace(READY, waiting=(5,))
    assert plan(both, 12, a=younger, b=waiting(2)).unload == ("a",)


def test_a_pinned_model_never_leaves_and_who_cannot_fit_beside_it_is_hopeless() -> None:
    both = units(a=6, b=6, c=3)
    both["a"] = replace(both["a"], pinned=True)
    assert plan(both, 100, a=READY, b=waiting(0)).unload == ()
    why = hopeless(RULES, both)
    assert set(why) == {"b"}
    assert why["b"] == (
        "it needs 6.0 GiB of ram, and the budget is 10.0 GiB, of which 6.0 GiB are pinned"
    )


def test_minimum_residency_keeps_an_idle_model_but_not_beyond_the_bound() -> None:
    both = units(a=6, b=6)
    both["a"] = replace(both["a"], min_resident_s=60)
    soon = plan(both, 5, a=READY, b=waiting(5))
    assert (soon.unload, soon.look_at_s) == ((), 15)
    assert plan(both, 15, a=READY, b=waiting(5)).unload == ("a",)


def test_a_model_leaves_when_it_has_been_idle_for_its_keep_alive() -> None:
    one = units(a=6)
    one["a"] = replace(one["a"], keep_alive_s=30)
    used = replace(READY, last_used_s=7)
    assert plan(one, 36, a=used) == Plan(look_at_s=37)
    assert plan(one, 37, a=used).unload == ("a",)
    assert plan(one, 99, a=replace(used, running=1)).unload == ()


def test_models_that_exclude_each_other_take_turns_though_there_is_room() -> None:
    both = units(a=1, b=1)
    both["a"] = replace(both["a"], excludes=frozenset({"b"}))
    assert plan(both, 1, a=READY, b=waiting(1)).unload == ("a",)
    assert plan(both, 1, b=READY, a=waiting(1)).unload == ("b",)


def test_what_has_failed_is_not_loaded_again_before_its_rest_is_over() -> None:
    failed = Standing(State.FAILED, waiting=(1,), rests_until_s=50)
    assert plan(units(a=1), 2, a=failed) == Plan(look_at_s=50)
    assert plan(units(a=1), 50, a=failed).load == ("a",)


def test_a_younger_request_does_not_take_the_room_that_an_older_one_is_about_to_get() -> None:
    three = units(a=6, b=8, c=4)
    busy = replace(READY, running=1)
    late = plan(three, 11, a=busy, b=waiting(1), c=waiting(5))
    assert late.load == ()
    assert late.hold == {"a": 1}
    early = plan(three, 5, a=busy, b=waiting(1), c=replace(waiting(5), load_s=2))
    assert early.load == ("c",)


def test_what_is_to_be_there_from_the_start_is_loaded_only_where_there_is_room() -> None:
    wanted = Standing(wanted=True)
    assert plan(units(a=6, b=6, c=4), 0, a=wanted, b=wanted, c=wanted).load == ("a", "c")


def test_weights_that_are_not_here_are_pulled_when_asked_for() -> None:
    assert plan(units(a=6), 0, a=Standing(State.ABSENT, waiting=(0,))).pull == ("a",)


def test_what_sleeps_is_woken_in_room_of_its_own() -> None:
    both = units(a=6, b=6)
    asleep = Standing(State.SLEEPING, waiting=(1,))
    assert plan(both, 1, a=READY, b=asleep).unload == ("a",)
    assert plan(both, 1, b=asleep).load == ("b",)
    assert plan(both, 1, a=waiting(1), b=replace(asleep, waiting=(2,))).load == ("a",)


def test_without_a_budget_everything_is_loaded() -> None:
    given = units(a=600, b=600)
    found = decide(Rules(), given, {"a": READY, "b": waiting(1)}, 1)
    assert found == Plan(load=("b",), look_at_s=math.inf)


def test_what_is_absent_is_pulled_when_somebody_waits_and_takes_no_room_for_it() -> None:
    both = units(a=6, b=6)
    absent = Standing(State.ABSENT, waiting=(1,), absent=True)
    found = plan(both, 2, a=READY, b=absent)
    assert (found.pull, found.load, found.unload) == (("b",), (), ())
    assert plan(both, 2, a=READY, b=replace(absent, waiting=())).pull == ()
    assert plan(both, 2, a=READY, b=replace(absent, waiting=(), wanted=True)).pull == ("b",)
    assert plan(both, 2, b=replace(absent, state=State.PULLING)) == Plan()


def test_weights_that_did_not_come_rest_and_are_pulled_again_never_loaded() -> None:
    failed = Standing(State.FAILED, waiting=(1,), absent=True, rests_until_s=20)
    resting = plan(units(a=6), 10, a=failed)
    assert (resting.pull, resting.load, resting.look_at_s) == ((), (), 20)
    rested = plan(units(a=6), 20, a=failed)
    assert (rested.pull, rested.load) == (("a",), ())


def sleepers(**needs: int) -> dict[str, Unit]:
    """Return units of a GPU that keep a GiB of it and as much RAM as they took there."""
    return {
        name: Unit(
            name, {"gpu0": gib * GIB, "ram": GIB}, asleep={"gpu0": GIB, "ram": (gib + 1) * GIB}
        )
        for name, gib in needs.items()
    }


def plan_on_gpu(ram: int, given: dict[str, Unit], /, **standings: Standing) -> Plan:
    rules = Rules({"gpu0": 10 * GIB, "ram": ram * GIB}, swap_bound_s=10)
    return decide(rules, given, {n: standings.get(n, Standing()) for n in given}, 100)


def test_who_can_sleep_does_so_where_the_room_of_its_weights_is_there_in_ram() -> None:
    two = sleepers(a=6, b=6)
    found = plan_on_gpu(20, two, a=READY, b=waiting(100))
    assert (found.sleep, found.unload, found.load) == (("a",), (), ())
    found = plan_on_gpu(7, two, a=READY, b=waiting(100))
    assert (found.sleep, found.unload) == ((), ("a",))
    drowsy = Standing(State.DRAINING, drowsy=True)
    assert plan_on_gpu(20, two, a=drowsy, b=waiting(100)).load == ()
    asleep = Standing(State.SLEEPING)
    assert plan_on_gpu(20, two, a=asleep, b=waiting(100)).load == ("b",)


def test_sleeping_does_not_help_who_needs_what_a_sleeper_keeps() -> None:
    two = sleepers(a=6, b=9)
    two["b"] = replace(two["b"], needs={"gpu0": 10 * GIB})
    assert plan_on_gpu(20, two, a=READY, b=waiting(100)).unload == ("a",)


def test_a_sleeper_is_woken_when_others_are_idle_and_ends_where_ram_is_needed() -> None:
    two = sleepers(a=6, b=6)
    asleep = Standing(State.SLEEPING, waiting=(100,))
    found = plan_on_gpu(20, two, a=asleep, b=READY)
    assert (found.sleep, found.load) == (("b",), ())
    assert plan_on_gpu(20, two, a=asleep).load == ("a",)
    hungry = two | {"c": Unit("c", {"ram": 15 * GIB})}
    slept = Standing(State.SLEEPING)
    found = plan_on_gpu(20, hungry, a=slept, c=waiting(100))
    assert (found.unload, found.sleep) == (("a",), ())


def test_who_has_been_idle_for_its_keep_alive_sleeps_where_it_can() -> None:
    one = sleepers(a=6)
    one["a"] = replace(one["a"], keep_alive_s=30)
    assert plan_on_gpu(20, one, a=READY).sleep == ("a",)
    assert plan_on_gpu(5, one, a=READY).unload == ("a",)
    assert plan_on_gpu(20, one, a=Standing(State.SLEEPING)) == Plan()
