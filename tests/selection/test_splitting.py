"""Shares of requests: how many each model takes, who stays with whom, and who gets a copy."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema import RoutingFile
from gateway.domain import Asked, Choice, Constraint, Endpoint, ModelFacts, ModelStatus, Weighed
from gateway.selection import Selector
from gateway.selection.splitting import drawn

WEIGHED = Weighed("general", "en", "en", "small", 10, None)
FACTS = {"vectors": ModelFacts(family="bge", generates=False, embeddings=True)}


def selector(use: Any, **route: Any) -> Selector:
    return Selector(
        RoutingFile.model_validate(
            {
                "engines": {"e": {"kind": "remote", "url": "http://127.0.0.1:1/v1"}},
                "models": {
                    "old": {"engine": "e", "aliases": ["stable"]},
                    "new": {"engine": "e"},
                    "vectors": {"engine": "e"},
                },
                "routes": [{"name": "r", "use": use, **route}],
            }
        ),
        FACTS,
    )


def choose(use: Any, asked: Asked, status: dict[str, ModelStatus] | None = None) -> Choice:
    return selector(use).choose(asked, WEIGHED, status or {})


def asked(**values: Any) -> Asked:
    return Asked("auto", Endpoint.CHAT, **values)


def test_each_takes_about_its_share() -> None:
    first = Counter(drawn({"a": 70, "b": 25, "c": 5}, "r", str(n))[0] for n in range(10_000))
    assert first["a"] == pytest.approx(7_000, abs=200)
    assert first["b"] == pytest.approx(2_500, abs=200)
    assert first["c"] == pytest.approx(500, abs=100)


def test_a_share_that_grows_takes_from_the_others_and_moves_nobody_else() -> None:
    before = {n: drawn({"old": 95, "new": 5}, "r", str(n))[0] for n in range(5_000)}
    after = {n: drawn({"old": 90, "new": 10}, "r", str(n))[0] for n in range(5_000)}
    moved = {n for n in before if before[n] != after[n]}
    assert 150 < len(moved) < 350
    assert {after[n] for n in moved} == {"new"}


def test_rules_draw_apart_from_each_other() -> None:
    shares = {"a": 1, "b": 1}
    alike = sum(drawn(shares, "r", str(n)) == drawn(shares, "s", str(n)) for n in range(2_000))
    assert 850 < alike < 1_150


def test_no_share_means_only_where_nobody_else_can() -> None:
    assert all(drawn({"a": 0, "b": 1}, "r", str(n)) == ("b", "a") for n in range(100))


@given(
    st.dictionaries(st.text(max_size=5), st.floats(0, 1e6), min_size=1, max_size=5),
    st.text(max_size=5),
    st.text(max_size=9),
)
def test_every_draw_has_everybody_once_and_is_always_the_same(
    shares: dict[str, float], rule: str, key: str
) -> None:
    order = drawn(shares, rule, key)
    assert sorted(order) == sorted(shares)
    assert drawn(dict(reversed(shares.items())), rule, key)[0] == order[0] or 0 in shares.values()


def test_a_user_stays_with_one_model_whatever_the_conversation() -> None:
    use = {"split": {"old": 1, "new": 1}}
    for user in map(str, range(20)):
        firsts = {
            choose(use, asked(user=user, conversation=str(n), chance=n / 9)).models[0]
            for n in range(9)
        }
        assert len(firsts) == 1


def test_without_a_user_the_conversation_stays() -> None:
    use = {"split": {"old": 1, "new": 1}}
    firsts = [
        {choose(use, asked(conversation=str(c), chance=n / 9)).models[0] for n in range(9)}
        for c in range(20)
    ]
    assert all(len(first) == 1 for first in firsts)
    assert set.union(*firsts) == {"old", "new"}


@pytest.mark.parametrize(
    ("sticky", "drawn_by"), [("user", "user"), ("conversation", "conversation"), ("none", "chance")]
)
def test_what_is_sticky_is_said_and_told(sticky: str, drawn_by: str) -> None:
    use = {"split": {"old": 1, "new": 1}, "sticky": sticky}
    choice = choose(use, asked(user="u", conversation="c", chance=0.3))
    assert any(
        why.startswith(f"by their shares, drawn by the {drawn_by}: ") for why in choice.reasons
    )


def test_nothing_sticky_means_each_request_draws() -> None:
    use = {"split": {"old": 1, "new": 1}, "sticky": "none"}
    firsts = {choose(use, asked(user="u", chance=n / 50)).models[0] for n in range(50)}
    assert firsts == {"old", "new"}


def test_whoever_is_down_is_replaced_by_the_others() -> None:
    down = {"old": ModelStatus(available=False)}
    choice = choose({"split": {"old": 99, "new": 1}}, asked(user="u"), down)
    assert choice.models == ("new", "old")


def test_an_alias_and_its_model_share_one_share() -> None:
    split = {"stable": 1, "old": 1, "new": 2}
    firsts = Counter(choose({"split": split}, asked(user=str(n))).models[0] for n in range(400))
    assert set(firsts) == {"old", "new"}
    assert 150 < firsts["old"] < 250


def test_a_copy_goes_to_the_shadow_for_its_percentage() -> None:
    some = selector("old", shadow={"model": "new", "percent": 25})
    copies = [some.choose(asked(chance=n / 100), WEIGHED, {}).shadow for n in range(100)]
    assert copies == ["new"] * 25 + [None] * 75
    assert selector("old").choose(asked(), WEIGHED, {}).shadow is None


def test_no_copy_goes_to_who_answers_or_cannot_or_may_not() -> None:
    new = {"shadow": {"model": "new"}}
    assert selector("new", **new).choose(asked(), WEIGHED, {}).shadow is None
    assert (
        selector("stable", shadow={"model": "stable"}).choose(asked(), WEIGHED, {}).shadow is None
    )
    cannot = selector("old", shadow={"model": "vectors"})
    assert cannot.choose(asked(), WEIGHED, {}).shadow is None
    demand = Constraint("x-weighbridge-family", "family", ("bge",))
    may_not = selector("vectors", **new).choose(
        Asked("auto", Endpoint.EMBEDDINGS, constraints=(demand,)), WEIGHED, {}
    )
    assert (may_not.models, may_not.shadow) == (("vectors",), None)
    down = {"old": ModelStatus(available=False)}
    both = selector(["old", "new"], **new)
    assert both.choose(asked(), WEIGHED, {}).shadow == "new"
    assert both.choose(asked(), WEIGHED, down).shadow is None
