"""Whatever the rules and the states: what is chosen is right."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import Asked, Endpoint, ModelStatus, Weighed
from gateway.selection import Selector
from tests.support.choosing import FACTS, MODELS, file_of, weighed

TASKS = st.sampled_from(["code", "math", "undecided", "general"])
LANGUAGES = st.sampled_from(["en", "de", "zh-Hant", "undecided"])
WORDS = st.one_of(
    TASKS,
    st.lists(TASKS, min_size=1, max_size=3),
    st.builds(lambda words: {"not": words}, st.lists(TASKS, min_size=1, max_size=3)),
)
USES = st.lists(st.sampled_from(MODELS), min_size=1, max_size=4, unique=True)
ANY_OF = USES.map(lambda names: {"any": names})
SPLIT = st.fixed_dictionaries(
    {"split": st.dictionaries(st.sampled_from(MODELS), st.integers(1, 9), min_size=1)},
    optional={"sticky": st.sampled_from(["user", "conversation", "none"])},
)
ROUTES = st.lists(
    st.fixed_dictionaries(
        {"name": st.text("abc", min_size=1, max_size=3), "use": USES | ANY_OF | SPLIT},
        optional={
            "shadow": st.fixed_dictionaries({"model": st.sampled_from(MODELS)}),
            "when": st.fixed_dictionaries({}, optional={"task": WORDS, "tools": st.booleans()}),
            "require": st.fixed_dictionaries(
                {}, optional={"family": st.sampled_from(["llama", "qwen2.5"])}
            ),
        },
    ),
    max_size=4,
)
STATUSES = st.dictionaries(
    st.sampled_from(MODELS),
    st.builds(
        ModelStatus,
        available=st.booleans(),
        in_flight=st.integers(0, 20),
        capacity=st.none() | st.integers(1, 10),
    ),
)
WEIGHED = st.builds(
    weighed,
    task=TASKS,
    language=LANGUAGES,
    tools=st.booleans(),
    images=st.booleans(),
    prompt_tokens=st.integers(0, 200_000),
    answer_tokens=st.none() | st.integers(1, 10_000),
)
ASKED = st.sampled_from([None, "auto", "auto:small", "auto:large", "auto:fast", *MODELS])


@given(ROUTES, ASKED, WEIGHED | st.none(), STATUSES)
def test_what_is_chosen_is_configured_up_before_down_and_always_the_same(
    routes: list[dict[str, Any]],
    model: str | None,
    what: Weighed | None,
    status: dict[str, ModelStatus],
) -> None:
    selector = Selector(file_of(routes), FACTS)
    choice = selector.choose(Asked(model, Endpoint.CHAT), what, status)
    assert choice.models
    assert set(choice.models) <= set(MODELS)
    assert len(set(choice.models)) == len(choice.models)
    up = [status.get(name, ModelStatus()).available for name in choice.models]
    assert up == sorted(up, reverse=True)
    assert choice.shadow is None or choice.shadow in {*MODELS} - {choice.models[0]}
    assert {score.model for score in choice.scores} <= set(MODELS)
    assert selector.choose(Asked(model, Endpoint.CHAT), what, status) == choice


@given(ROUTES, WEIGHED, STATUSES)
def test_no_earlier_rule_that_matches_and_keeps_a_model_is_passed_over(
    routes: list[dict[str, Any]], what: Weighed, status: dict[str, ModelStatus]
) -> None:
    named = [{**route, "name": f"r{number}"} for number, route in enumerate(routes)]
    selector = Selector(file_of(named), FACTS)
    asked = Asked("auto", Endpoint.CHAT)
    matching = [verdict.rule for verdict in selector.explain(asked, what) if verdict.matched]
    choice = selector.choose(asked, what, status)
    for rule in matching:
        if rule == choice.rule:
            break
        assert f"rule '{rule}' matched, but none of its models will do" in choice.reasons
    else:
        assert choice.rule == "none"
