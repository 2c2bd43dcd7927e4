"""A replica's circuit: failures open it, clients cannot, and one request tries it again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import Outcome
from gateway.fleet import Condition
from gateway.fleet.breaker import Breaker, BreakerRules
from gateway.fleet.budget import RetryBudget
from tests.support.fleets import account, fleet_of, plan

RULES = BreakerRules(failures=3, open_s=10)
HARMLESS = [Outcome.OK, Outcome.CLIENT_ERROR, Outcome.CANCELLED, Outcome.OVERLOADED]


def use(breaker: Breaker, outcome: Outcome, now_s: float = 0) -> None:
    assert breaker.admits(now_s)
    breaker.end(outcome, now_s, probe=breaker.begin())


def opened() -> Breaker:
    breaker = Breaker(RULES)
    for outcome in (Outcome.ENGINE_ERROR, Outcome.TIMEOUT, Outcome.ENGINE_ERROR):
        use(breaker, outcome)
    return breaker


def test_failures_in_a_row_open_it_for_a_while() -> None:
    breaker = opened()
    assert not breaker.admits(0)
    assert not breaker.admits(9.9)
    assert breaker.opens_in_s(4) == 6
    assert breaker.admits(10)


def test_an_answer_between_failures_keeps_it_closed() -> None:
    breaker = Breaker(RULES)
    for _ in range(5):
        use(breaker, Outcome.ENGINE_ERROR)
        use(breaker, Outcome.ENGINE_ERROR)
        use(breaker, Outcome.OK)
    assert breaker.admits(0)


@given(st.lists(st.sampled_from([*HARMLESS, Outcome.UNAVAILABLE]), max_size=50))
def test_clients_and_full_engines_never_open_it(outcomes: list[Outcome]) -> None:
    breaker = Breaker(RULES)
    for outcome in outcomes:
        use(breaker, outcome)
    assert breaker.admits(0)


def test_half_open_lets_one_through_and_its_end_decides() -> None:
    breaker = opened()
    probe = breaker.begin()
    assert probe
    assert not breaker.admits(10)
    breaker.end(Outcome.OK, 11, probe=probe)
    assert breaker.admits(11)
    again = opened()
    use(again, Outcome.ENGINE_ERROR, 10)
    assert not again.admits(19.9)
    assert again.admits(20)


def test_a_probe_whose_client_leaves_makes_room_for_another() -> None:
    breaker = opened()
    use(breaker, Outcome.CANCELLED, 10)
    assert breaker.admits(10)
    assert breaker.begin()


def test_an_engine_that_asks_for_rest_gets_it_within_reason() -> None:
    breaker = Breaker(RULES)
    breaker.rest(7, 0)
    assert not breaker.admits(6.9)
    assert breaker.admits(7)
    breaker.rest(1e9, 0)
    assert breaker.admits(300)


async def test_a_replica_left_alone_is_not_leased_and_a_new_life_forgets() -> None:
    fleet, _ = fleet_of(plan())
    (replica,) = fleet
    for _ in range(BreakerRules().failures):
        lease = fleet.lease("m", account())
        assert lease is not None
        lease.end(Outcome.ENGINE_ERROR)
    assert fleet.lease("m", account()) is None
    assert "out of rotation" in fleet.why_not(["m"], 1.0)
    assert fleet.rests_s(["m"], 1.0) == BreakerRules().open_s
    fleet.update(replica, Condition.BACKING_OFF)
    fleet.update(replica, Condition.READY)
    assert fleet.lease("m", account()) is not None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_second_tries_are_a_share_of_all_requests(share: float) -> None:
    budget = RetryBudget(share)
    tried = 0
    for _ in range(1_000):
        budget.earn()
        tried += budget.spend()
    assert tried <= 1_000 * share + 10
    assert tried >= 1_000 * share
