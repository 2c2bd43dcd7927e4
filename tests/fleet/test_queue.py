"""The queue of a model: places, order, refusals, and what it says of waits."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.domain import Refusal
from gateway.fleet.queue import Limits, ModelQueue, Refused, Ticket


def nothing() -> None:
    """Wake nobody."""


def full(places: int = 1, queued: int = 4, mean_s: float | None = None) -> ModelQueue:
    """Return a queue whose places are all taken."""
    queue = ModelQueue(Limits(places, queued))
    if mean_s is not None:
        queue.begin()
        queue.ended(mean_s)
    for _ in range(places):
        queue.begin()
    return queue


def joined(queue: ModelQueue, priority: int = 0, wake: Callable[[], None] = nothing) -> Ticket:
    ticket = queue.join(priority, 600, wake)
    assert isinstance(ticket, Ticket)
    return ticket


@dataclass
class Waiter:
    """What became of one request that joined."""

    ticket: Ticket | None = None
    wakes: list[int] = field(default_factory=list)


class Traffic(RuleBasedStateMachine):
    """Requests come, end and go away in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ModelQueue(Limits(2, 3))
        self.begun = 0
        self.waiters: list[Waiter] = []

    @rule(priority=st.integers(-2, 2), patience_s=st.floats(0, 100), must=st.booleans())
    def comes(self, priority: int, patience_s: float, must: bool) -> None:
        if self.queue.free:
            self.queue.begin()
            self.begun += 1
            return
        waiter = Waiter()
        joined = self.queue.join(priority, patience_s, lambda: waiter.wakes.append(1), must=must)
        if isinstance(joined, Refused):
            assert joined.retry_after_s >= 1
            return
        waiter.ticket = joined
        self.waiters.append(waiter)

    @rule(held_s=st.floats(0, 100))
    def one_ends(self, held_s: float) -> None:
        if self.begun:
            self.begun -= 1
            self.queue.ended(held_s)

    @rule(which=st.integers(0, 10))
    def one_goes_away(self, which: int) -> None:
        if which < len(self.waiters):
            ticket = self.waiters.pop(which).ticket
            assert ticket is not None
            self.queue.leave(ticket)

    @invariant()
    def places_are_kept_to_and_nobody_waits_beside_a_free_one(self) -> None:
        granted = sum(bool(w.ticket and w.ticket.granted) for w in self.waiters)
        assert self.queue.running == self.begun + granted <= 2
        assert self.queue.waiting == 0 or self.queue.running == 2

    @invariant()
    def whoever_is_decided_on_is_woken_once(self) -> None:
        for waiter in self.waiters:
            assert waiter.ticket is not None
            decided = waiter.ticket.granted or waiter.ticket.refused is not None
            assert len(waiter.wakes) == decided


TestTraffic = Traffic.TestCase


@given(st.lists(st.integers(-3, 3), max_size=20))
def test_the_most_urgent_begin_first_and_of_those_who_came_first(priorities: list[int]) -> None:
    queue, begun = full(queued=20), []
    for number, priority in enumerate(priorities):
        joined(queue, priority, lambda who=(priority, number): begun.append(who))  # type: ignore[misc]
    for _ in priorities:
        queue.ended(1)
    assert begun == sorted(begun)
    assert len(begun) == len(priorities)


@given(st.integers(1, 8), st.integers(0, 30), st.floats(0.1, 100), st.floats(0, 50))
def test_who_is_refused_and_comes_back_when_told_to_would_begin_in_time(
    places: int, before: int, mean_s: float, patience_s: float
) -> None:
    queue = full(places, 50, mean_s)
    for _ in range(before):
        joined(queue, -1, nothing) if (before + 1) * mean_s / places < 600 else None
    answer = queue.join(0, patience_s, nothing)
    wait_s = (queue.waiting + isinstance(answer, Refused)) * mean_s / places
    if isinstance(answer, Ticket):
        assert wait_s <= patience_s
    else:
        assert answer.reason is Refusal.LATE
        assert wait_s - answer.retry_after_s <= patience_s + 1e-6


def test_before_anything_was_measured_nobody_is_too_late() -> None:
    assert isinstance(full().join(0, 0.001, nothing), Ticket)


@pytest.mark.parametrize(("mean_s", "retry_s"), [(None, 1), (30, 15)])
def test_a_full_queue_says_when_a_place_is_free(mean_s: float | None, retry_s: float) -> None:
    queue = full(2, 0, mean_s)
    assert queue.join(0, 600, nothing) == Refused(Refusal.FULL, retry_s)


def test_in_a_full_queue_the_last_of_the_less_urgent_makes_room() -> None:
    queue = full(queued=2)
    first, last = joined(queue, 1), joined(queue, 1)
    urgent = joined(queue, 0)
    assert last.refused == Refused(Refusal.DISPLACED, 1)
    queue.ended(1)
    assert urgent.granted
    assert not first.granted
    assert isinstance(queue.join(1, 600, nothing), Ticket)
    assert isinstance(queue.join(1, 600, nothing), Refused)


def test_what_had_begun_before_is_never_refused_and_is_the_first() -> None:
    queue = full(queued=1)
    waiting = joined(queue, -5)
    again = queue.join(0, 0, nothing, must=True)
    queue.ended(1)
    assert isinstance(again, Ticket)
    assert again.granted
    assert not waiting.granted


def test_the_mean_follows_what_requests_take() -> None:
    queue = full(mean_s=10)
    for _ in range(60):
        queue.ended(2)
        queue.begin()
    assert queue.wait_s(0) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("limits", [Limits(3), None])
def test_who_waits_begins_where_a_limit_is_raised_or_gone(limits: Limits | None) -> None:
    queue = full(1)
    tickets = [joined(queue) for _ in range(2)]
    queue.follow(limits)
    assert all(ticket.granted for ticket in tickets)
    assert (queue.running, queue.waiting) == (3, 0)


def test_nobody_begins_where_a_limit_is_lowered_until_enough_have_ended() -> None:
    queue = full(3)
    ticket = joined(queue)
    queue.follow(Limits(1))
    for _ in range(2):
        queue.ended(1)
        assert not ticket.granted
    queue.ended(1)
    assert ticket.granted


def test_one_that_had_begun_before_keeps_its_place_before_the_more_urgent() -> None:
    queue = full(queued=1)
    again = queue.join(5, 0, nothing, must=True)
    assert isinstance(again, Ticket)
    assert isinstance(queue.join(-5, 600, nothing), Refused)  # nobody is turned out for it
    assert again.refused is None
    queue.follow(Limits(1, 2))
    urgent = joined(queue, -5)
    queue.ended(1)
    assert (again.granted, urgent.granted) == (True, False)


def test_where_a_limit_is_gone_nobody_is_kept_in_its_queue_by_a_hold() -> None:
    queue = full()
    ticket = joined(queue)
    queue.hold(-1)
    queue.follow(None)
    assert ticket.granted
