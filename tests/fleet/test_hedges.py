"""When a request is late, and how many may be sent twice."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.fleet.hedges import FirstBytes, Hedge, HedgeRule

RULE = HedgeRule(percentile=90, share=0.1, least_s=0.05)


def test_nobody_is_late_before_enough_is_known() -> None:
    hedge = Hedge(RULE)
    for _ in range(19):
        assert hedge.asked(streams=True) is None
        hedge.began(1.0, streams=True)
    hedge.began(1.0, streams=True)
    assert hedge.asked(streams=True) == 1.0
    assert hedge.asked(streams=False) is None


def test_nobody_is_late_at_once_however_quick_the_others_are() -> None:
    hedge = Hedge(RULE)
    for _ in range(20):
        hedge.began(0.001, streams=False)
    assert hedge.asked(streams=False) == 0.05


@given(st.lists(st.floats(0, 100), min_size=20, max_size=600), st.floats(50, 99.9))
def test_what_is_late_is_later_than_that_share_of_the_last_ones(
    seconds: list[float], percentile: float
) -> None:
    times = FirstBytes(percentile)
    for one in seconds:
        times.note(one)
    late_s = times.late_after_s()
    assert late_s is not None
    last = seconds[-256:]
    assert sum(one <= late_s for one in last) >= len(last) * percentile / 100
    assert late_s in last


def test_the_share_that_may_be_sent_twice_is_kept_to() -> None:
    hedge = Hedge(RULE)
    sent_twice = 0
    for _ in range(1_000):
        hedge.asked(streams=True)
        sent_twice += hedge.may()
    assert 100 <= sent_twice <= 111
