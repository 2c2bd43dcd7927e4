"""Rules that can never decide are found, and only those."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify.size import size_of
from gateway.config.reach import unreachable_rules
from gateway.config.schema import RoutingFile
from gateway.config.weighing import SizeSection
from gateway.domain import Asked, Endpoint, Estimate, ModelFacts, Weighed
from gateway.errors import CapabilityMissing, ModelNotFound
from gateway.selection import Selector
from gateway.selection.matching import conditions_of, features_of, verdict

ENGINES = {"lab": {"kind": "remote", "url": "http://lab/v1"}}
MODELS: dict[str, Any] = {
    "a": {"engine": "lab"},
    "b": {"engine": "lab"},
    "sure": {"engine": "lab", "embeddings": True},
}


def file_of(*rules: dict[str, Any], sizes: dict[str, int] | None = None) -> RoutingFile:
    named = [{"name": f"r{i}", "use": "a"} | rule for i, rule in enumerate(rules)]
    return RoutingFile.model_validate(
        {"engines": ENGINES, "models": MODELS, "routes": named, "sizes": sizes or {}}
    )


def found(*rules: dict[str, Any], sizes: dict[str, int] | None = None) -> list[str]:
    return [one.message for one in unreachable_rules(file_of(*rules, sizes=sizes))]


def not_(*words: str) -> dict[str, list[str]]:
    return {"not": list(words)}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({}, {"task": "code"}),
        ({}, {}),
        ({"task": ["code", "math"]}, {"task": "math"}),
        ({"task": "code"}, {"task": "code", "tools": True}),
        ({"task": not_("code")}, {"task": "math"}),
        ({"task": not_("code")}, {"task": not_("code", "math")}),
        ({"language": not_("en")}, {"language": ["de", "fr"]}),
        ({"language": "undecided"}, {"language": "undecided"}),
        ({"request_size": ["small", "medium"]}, {"request_size": not_("large")}),
        ({"prompt_tokens": {"min": 10}}, {"prompt_tokens": {"min": 10, "max": 20}}),
        ({"prompt_tokens": {"max": 20}}, {"prompt_tokens": {"max": 20}}),
        ({"tools": False}, {"tools": False, "images": True}),
        ({"header": {"X-Team": "a"}}, {"header": {"x-team": "a", "x-other": "b"}}),
        ({"variant": not_("fast")}, {"variant": "small"}),
    ],
)
def test_a_rule_whose_requests_an_earlier_one_takes_is_told(
    earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    (message,) = found({"when": earlier}, {"when": later})
    assert message.startswith("the rule 'r1' is never reached: the rule 'r0' before it")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"task": "code"}, {"task": ["code", "math"]}),
        ({"task": "code"}, {}),
        ({"task": not_("code")}, {"task": "undecided"}),
        ({"task": not_("code")}, {"task": not_("math")}),
        ({"language": not_("en")}, {"language": not_("de")}),
        ({"language": ["en", "de"]}, {"language": not_("fr")}),
        ({"language": "en"}, {"prompt_language": "en"}),
        ({"prompt_tokens": {"min": 10}}, {"prompt_tokens": {"max": 20}}),
        ({"prompt_tokens": {"max": 20}}, {"prompt_tokens": {"min": 5}}),
        ({"tools": True}, {"tools": False}),
        ({"header": {"x-team": "a"}}, {"header": {"x-team": "b"}}),
        # Where nothing was weighed no condition on a feature holds, not even one for all sizes.
        ({"request_size": ["small", "medium", "large"]}, {}),
    ],
)
def test_a_rule_that_may_decide_is_not_told(earlier: dict[str, Any], later: dict[str, Any]) -> None:
    assert found({"when": earlier}, {"when": later}) == []


def test_a_rule_with_requirements_takes_nothing_for_sure() -> None:
    assert found({"require": {"context": 4096}}, {"when": {"task": "code"}}) == []


def test_requests_for_embeddings_may_pass_a_rule_whose_models_make_none() -> None:
    (message,) = found({"use": "a"}, {"when": {"request_size": "large"}, "use": "b"})
    assert "is reached by requests for embeddings and ranks at most" in message
    (message,) = found({"use": "sure"}, {"when": {"request_size": "large"}, "use": "b"})
    assert "is never reached" in message
    assert found({"use": "a"}, {"when": {"task": "embedding"}, "use": "b"}) != []


@pytest.mark.parametrize(
    ("when", "key", "sizes"),
    [
        ({"request_size": not_("small", "medium", "large")}, "request_size", {}),
        ({"header": {"X-Team": "a", "x-team": "b"}}, "header", {}),
        ({"request_size": "small", "prompt_tokens": {"min": 9000}}, "prompt_tokens", {}),
        ({"request_size": "large", "prompt_tokens": {"max": 2999}}, "prompt_tokens", {}),
        ({"request_size": "medium"}, "request_size", {"small_below": 100, "large_from": 100}),
    ],
)
def test_a_rule_that_no_request_can_match_is_told_at_its_condition(
    when: dict[str, Any], key: str, sizes: dict[str, int]
) -> None:
    (only,) = unreachable_rules(file_of({"when": when}, sizes=sizes))
    assert "no request can match the rule 'r0'" in only.message
    assert only.path == ("routes", 0, "when", key)


def words(*values: str) -> st.SearchStrategy[Any]:
    some = st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)
    return some | some.map(lambda chosen: {"not": chosen})


def conditions(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


BOUND = st.integers(0, 12)
RANGE = st.fixed_dictionaries({}, optional={"min": BOUND, "max": BOUND})
SHARES = st.sampled_from([0.0, 0.25, 0.5, 1.0])
SHARE = st.fixed_dictionaries({}, optional={"min": SHARES, "max": SHARES})
HEADER = st.dictionaries(st.sampled_from(["x-a", "X-A", "x-b"]), st.sampled_from("12"))
# What rules look at -> the conditions on it, and the values that requests have.
LOOKED_AT: dict[str, tuple[st.SearchStrategy[dict[str, Any]], list[Any]]] = {
    "task": (
        conditions(task=words("code", "math", "embedding", "undecided")),
        ["code", "math", "vision", "undecided"],
    ),
    "language": (
        conditions(language=words("en", "de", "zh", "zh-hant", "undecided")),
        ["en", "de", "fr", "zh", "zh-hant", "zh-hans", "undecided"],
    ),
    "tokens": (
        conditions(request_size=words("small", "medium", "large"), prompt_tokens=RANGE),
        [(prompt, answer) for prompt in range(14) for answer in (None, 1, 5)],
    ),
    "difficulty": (
        conditions(difficulty=SHARE),
        [0.0, 0.25, 0.3, 0.5, 1.0],
    ),
    "variant": (
        conditions(variant=words("fast", "night", "night-long", "Day", "undecided")),
        ["", ":fast", ":small", ":night", ":night-long", ":Day", ":undecided"],
    ),
    "tools": (conditions(tools=st.booleans()), [False, True]),
    "headers": (
        conditions(header=HEADER),
        [(), (("x-a", "1"),), (("X-A", "2"), ("x-b", "1")), (("x-a", "1"), ("x-b", "2"))],
    ),
}
PAIRS = st.lists(st.sampled_from(sorted(LOOKED_AT)), min_size=2, max_size=2, unique=True)
KNOWN = st.sampled_from([None, True, False])
# What an endpoint's requests have as their task, where it settles that.
ENDPOINTS = {Endpoint.CHAT: "", Endpoint.EMBEDDINGS: "embedding", Endpoint.RERANK: "rerank"}
SIZES = {"small_below": 4, "large_from": 9, "counted_answer_tokens": 3}


@st.composite
def rules_on(draw: st.DrawFn, pair: list[str]) -> list[dict[str, Any]]:
    rules = []
    for _ in range(draw(st.integers(2, 4))):
        when = draw(LOOKED_AT[pair[0]][0]) | draw(LOOKED_AT[pair[1]][0])
        use = draw(st.lists(st.sampled_from(["a", "b", "sure"]), min_size=1, max_size=2))
        require = {"require": {"context": 4096}} if draw(st.integers(0, 5)) == 5 else {}
        rules.append({"when": when, "use": use} | require)
    return rules


def requests_on(pair: list[str]) -> list[tuple[Asked, Weighed]]:
    """All requests that differ in two things, each also as one for embeddings and for ranks."""
    usual: dict[str, Any] = {
        "task": "code",
        "language": "en",
        "tokens": (1, None),
        "difficulty": 0.5,
        "variant": "",
        "tools": False,
    }
    found = []
    for first, second in product(LOOKED_AT[pair[0]][1], LOOKED_AT[pair[1]][1]):
        given = usual | {pair[0]: first, pair[1]: second}
        prompt, answer = given["tokens"]
        for endpoint, task in ENDPOINTS.items():
            weighed = Weighed(
                task=task or given["task"],
                language=given["language"],
                prompt_language="en",
                request_size=size_of(Estimate(prompt), answer, SizeSection(**SIZES)).name,
                prompt_tokens=prompt,
                answer_tokens=answer,
                difficulty=given["difficulty"],
                tools=given["tools"] and not task,
            )
            asked = Asked(f"auto{given['variant']}", endpoint, given.get("headers", ()))
            found.append((asked, weighed))
    return found


@settings(max_examples=300, deadline=None)
@given(st.data(), PAIRS)
def test_a_rule_that_is_told_never_decides(data: st.DataObject, pair: list[str]) -> None:
    file = file_of(*data.draw(rules_on(pair)), sizes=SIZES)
    told = {f"r{one.path[1]}": one.message for one in unreachable_rules(file)}
    facts = {
        name: ModelFacts(embeddings=data.draw(KNOWN), reranks=data.draw(KNOWN))
        for name in ("a", "b")
    }
    selector = Selector(file, facts | {"sure": ModelFacts(embeddings=True)})
    for asked, weighed in requests_on(pair):
        try:
            rule = selector.choose(asked, weighed, {}).rule
        except (CapabilityMissing, ModelNotFound):
            continue
        spared = asked.endpoint is not Endpoint.CHAT and "at most" in told.get(rule, "")
        assert rule not in told or spared, asked


@settings(max_examples=300, deadline=None)
@given(st.data(), PAIRS)
def test_a_rule_that_is_told_never_matches_first(data: st.DataObject, pair: list[str]) -> None:
    file = file_of(*data.draw(rules_on(pair)), sizes=SIZES)
    told = {f"r{one.path[1]}" for one in unreachable_rules(file)}
    rules = [(route.name, conditions_of(route.when)) for route in file.routes]
    names = Selector(file, {}).names
    for asked, weighed in requests_on(pair):
        if asked.model not in names:
            continue
        for request in (weighed, None):
            features = features_of(asked, request, str(asked.model).partition(":")[2])
            tried = (verdict(name, conditions, features) for name, conditions in rules)
            assert next((one.rule for one in tried if one.matched), None) not in told, asked
