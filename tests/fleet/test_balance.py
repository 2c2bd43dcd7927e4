"""A replica is chosen by the tokens before it, and by what it has read of the prompt."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.requests import ChatRequest, Message
from gateway.domain import Outcome
from gateway.fleet import Condition, Fleet, Lease
from gateway.fleet.balance import Load, Offer, best
from gateway.fleet.prefixes import Beginnings, beginnings_of
from gateway.observe.account import Account
from tests.support.fleets import account, figure, fleet_of, plan

OFFERS = st.lists(
    st.builds(
        Offer,
        suspect=st.booleans(),
        outstanding_tokens=st.integers(0, 10_000),
        in_flight=st.integers(0, 50),
        capacity=st.none() | st.integers(1, 64),
        turn=st.integers(0, 100),
        seen=st.floats(0, 1),
    ),
    min_size=1,
    max_size=6,
)


def load(*turns: str, prompt: int = 100, answer: int = 100) -> Load:
    request = ChatRequest(messages=[Message("user", turn) for turn in turns or ("x",)])

    def beginnings(model: str) -> Beginnings:
        return beginnings_of(request, model)

    return Load(prompt, answer, beginnings)


def leased(fleet: Fleet, asked: Load, model: str = "m", own: Account | None = None) -> Lease:
    lease = fleet.lease(model, own or account(), load=asked)
    assert lease is not None
    return lease


@given(OFFERS, st.integers(0, 5_000))
def test_nobody_has_fewer_tokens_than_the_chosen_one(offers: list[Offer], prompt: int) -> None:
    def tokens(offer: Offer) -> float:
        return (offer.outstanding_tokens + prompt * (1 - offer.seen)) / (offer.capacity or 1)

    chosen = offers[best(offers, prompt)]
    rivals = [offer for offer in offers if offer.suspect == chosen.suspect]
    assert not chosen.suspect or len(rivals) == len(offers)
    assert tokens(chosen) == min(map(tokens, rivals))


def test_a_long_answer_weighs_more_than_several_short_ones() -> None:
    fleet, _ = fleet_of(plan(replica="a"), plan(replica="b"))
    first = leased(fleet, load(prompt=10, answer=1_000))
    others = {leased(fleet, load(str(n), prompt=10, answer=50)).replica.name for n in range(5)}
    assert first.replica.name not in others


def test_what_is_delivered_weighs_no_more() -> None:
    now_s, fleet = [0.0], fleet_of(plan())[0]
    own = Account(lambda: now_s[0], 0.0)
    lease = leased(fleet, load(prompt=70, answer=30), own=own)
    assert lease.replica.outstanding_tokens == 100
    own.content_seen()
    assert lease.replica.outstanding_tokens == 29
    for _ in range(20):
        now_s[0] += 1
        own.content_seen()
    assert lease.replica.outstanding_tokens == 9
    for _ in range(20):
        now_s[0] += 1
        own.content_seen()
    assert lease.replica.outstanding_tokens == 0
    lease.end(Outcome.OK)
    assert lease.replica.outstanding_tokens == 0
    assert own.on_token is None


def test_a_conversation_goes_back_to_where_it_was() -> None:
    fleet, _ = fleet_of(*(plan(replica=name) for name in "abcd"))
    homes = {}
    for name in ("rivers", "hills", "seas"):
        lease = leased(fleet, load(name))
        homes[name] = lease.replica.name
        lease.end(Outcome.OK)
    assert len(set(homes.values())) == 3
    for name, home in homes.items():
        lease = leased(fleet, load(name, "and then"))
        assert lease.replica.name == home
        lease.end(Outcome.OK)


def test_but_not_to_one_that_is_busier_by_more_than_reading_it_again_costs() -> None:
    fleet, _ = fleet_of(plan(replica="a"), plan(replica="b"))
    home = leased(fleet, load("rivers", prompt=500, answer=0))
    home.end(Outcome.OK)
    busy = leased(fleet, load("something else", prompt=0, answer=499))
    while busy.replica is not home.replica:
        busy.end(Outcome.OK)
        busy = leased(fleet, load("something else", prompt=0, answer=499))
    assert leased(fleet, load("rivers", prompt=500, answer=0)).replica is home.replica
    leased(fleet, load("more", prompt=0, answer=0))
    home.replica.outstanding_tokens += 2
    assert leased(fleet, load("rivers", prompt=500, answer=0)).replica is not home.replica


def test_one_that_was_started_again_has_read_nothing() -> None:
    fleet, _ = fleet_of(plan(replica="a"), plan(replica="b"))
    home = leased(fleet, load("rivers"))
    home.end(Outcome.OK)
    fleet.update(home.replica, Condition.BACKING_OFF, restarts=1)
    fleet.update(home.replica, Condition.READY)
    assert leased(fleet, load("rivers")).replica is not home.replica


def test_without_affinity_only_tokens_count() -> None:
    fleet, _ = fleet_of(plan(replica="a"), plan(replica="b"))
    fleet.affine = False
    home = leased(fleet, load("rivers"))
    home.end(Outcome.OK)
    assert leased(fleet, load("rivers")).replica is not home.replica


# A request comes, of this conversation and for so many tokens; the n-th open one tells of a token,
# or ends; the n-th replica changes its condition.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("lease"), st.sampled_from("xyz"), st.integers(0, 99), st.integers(0, 99)),
        st.tuples(st.just("token"), st.integers(0, 9), st.just(0), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 9), st.just(0), st.just(0)),
        st.tuples(st.sampled_from(Condition), st.integers(0, 2), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_outstanding_tokens_are_those_of_open_requests_and_return_to_none(
    steps: list[tuple[object, object, int, int]],
) -> None:
    fleet, metrics = fleet_of(*(plan(replica=name) for name in "abc"))
    replicas, open_leases, now_s = list(fleet), list[Lease](), [0.0]
    clock: Callable[[], float] = lambda: now_s[0]  # noqa: E731 - a clock that is turned by hand
    for what, which, prompt, answer in steps:
        now_s[0] += 1
        if what == "lease":
            asked = load(str(which), prompt=prompt, answer=answer)
            lease = fleet.lease("m", Account(clock, 0.0), load=asked)
            assert (lease is None) is not any(replica.ready for replica in replicas)
            if lease is not None:
                assert lease.replica.ready
                open_leases.append(lease)
        elif isinstance(what, Condition) and isinstance(which, int):
            fleet.update(replicas[which], what)
        elif open_leases and isinstance(which, int):
            if what == "token":
                open_leases[which % len(open_leases)].account.content_seen()
            else:
                open_leases.pop(which % len(open_leases)).end(Outcome.OK)
        for replica in replicas:
            own = [lease for lease in open_leases if lease.replica is replica]
            assert replica.outstanding_tokens == sum(one.outstanding_tokens for one in own)
            assert all(one.outstanding_tokens >= 0 for one in own)
    for lease in open_leases:
        lease.end(Outcome.CANCELLED)
    assert figure(metrics, "weighbridge_outstanding_tokens") == 0
