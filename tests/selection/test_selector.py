"""What a name means, which rule decides, who is left out, and the order of the rest."""

from typing import Any

import pytest

from gateway.domain import Asked, Endpoint, Estimate, ModelFacts, ModelStatus
from gateway.errors import ContextLengthExceeded, ModelNotFound
from gateway.selection import Selector
from tests.support.choosing import ALL, DOWN, FACTS, MODELS, choose, file_of, weighed


def test_a_name_means_that_model_alone() -> None:
    choice = choose([ALL], "coder")
    assert (choice.models, choice.rule) == (("coder",), "name")


def test_a_named_model_that_is_down_is_still_the_one_asked_for() -> None:
    assert choose([ALL], "coder", status={"coder": DOWN}).models == ("coder",)


def test_an_alias_means_its_model() -> None:
    choice = choose([ALL], "gpt-4o-mini", aliases={"big": ["gpt-4o-mini"]})
    assert (choice.models, choice.rule) == (("big",), "alias")
    assert "gpt-4o-mini is an alias of big" in choice.reasons


@pytest.mark.parametrize("model", [None, "", "auto"])
def test_no_name_and_auto_mean_the_rules(model: str | None) -> None:
    assert choose([ALL], model).rule == "all"


@pytest.mark.parametrize("model", ["codr", "auto:cheap", "auto:", "Auto", "x" * 100_000, "\ud800"])
def test_an_unknown_name_is_not_found(model: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        choose([ALL], model)
    assert caught.value.status == 404
    assert caught.value.code == "model_not_found"
    assert len(caught.value.message) < 500


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(ModelNotFound, match="'coder'"):
        choose([ALL], "codr")


def test_the_first_rule_that_matches_decides() -> None:
    routes: list[dict[str, Any]] = [
        {"name": "code", "when": {"task": "code"}, "use": "coder"},
        {"name": "first", "use": "tiny"},
        {"name": "second", "use": "big"},
    ]
    assert choose(routes).rule == "first"
    assert choose(routes, what=weighed(task="code")).models == ("coder",)


def test_without_a_matching_rule_all_models_may_serve_by_their_scores() -> None:
    routes: list[dict[str, Any]] = [{"name": "code", "when": {"task": "code"}, "use": "coder"}]
    choice = choose(routes)
    assert (choice.models, choice.rule) == (MODELS, "none")
    full = {"tiny": ModelStatus(in_flight=9, capacity=9)}
    assert choose(routes, status=full).models == ("big", "coder", "embedder", "tiny")


def test_a_plain_list_is_strict_preference() -> None:
    busy = {"big": ModelStatus(in_flight=50, capacity=10)}
    routes: list[dict[str, Any]] = [{"name": "r", "use": ["big", "tiny"]}]
    assert choose(routes, status=busy).models == ("big", "tiny")


def test_any_puts_the_best_score_first_and_every_score_is_told() -> None:
    status = {
        "big": ModelStatus(in_flight=5, capacity=10),
        "coder": ModelStatus(in_flight=1, capacity=10),
        "tiny": ModelStatus(in_flight=1),
    }
    routes: list[dict[str, Any]] = [
        {"name": "r", "use": {"any": ["big", "tiny", "coder", "embedder"]}}
    ]
    choice = choose(routes, status=status)
    assert choice.models[:2] == ("embedder", "coder")
    assert [score.model for score in choice.scores] == list(choice.models)
    assert any(why.startswith("by their scores: embedder 0.") for why in choice.reasons)


def test_a_strict_list_is_not_scored() -> None:
    assert choose([ALL]).scores == ()


def test_a_model_that_is_down_comes_last_and_the_reason_says_so() -> None:
    choice = choose([ALL], status={"tiny": DOWN})
    assert choice.models == ("big", "coder", "embedder", "tiny")
    assert "tiny comes last: it is restarting" in choice.reasons


def test_a_model_without_room_for_prompt_and_answer_is_left_out() -> None:
    routes: list[dict[str, Any]] = [{"name": "r", "use": ["tiny", "coder"]}]
    takes = {"tiny": Estimate(900), "coder": Estimate(900)}
    assert choose(routes, what=weighed(answer_tokens=100), takes=takes).models == ("tiny", "coder")
    choice = choose(routes, what=weighed(answer_tokens=200), takes=takes)
    assert choice.models == ("coder",)
    assert any("context of 1000 tokens is less than the at least 1100" in r for r in choice.reasons)


def test_a_rule_whose_models_have_no_room_is_not_passed_over() -> None:
    """What a rule keeps to its models does not leave them because it is long."""
    routes: list[dict[str, Any]] = [{"name": "r", "use": "tiny"}, {"name": "all", "use": "big"}]
    takes = {"tiny": Estimate(2_000, 100), "big": Estimate(2_000, 100)}
    with pytest.raises(ContextLengthExceeded) as caught:
        choose(routes, what=weighed(answer_tokens=50), takes=takes)
    assert caught.value.status == 400
    assert "about 2000 (at least 1900) tokens, and 50 are wanted" in caught.value.message
    assert "context of tiny, this model's, has 1000" in caught.value.message


def test_a_named_model_is_refused_only_a_prompt_that_surely_does_not_fit() -> None:
    assert choose([], "tiny", takes={"tiny": Estimate(1_050, 100)}).models == ("tiny",)
    with pytest.raises(ContextLengthExceeded, match="has 1000"):
        choose([], "tiny", takes={"tiny": Estimate(1_101, 100)})


def test_a_model_that_is_up_and_has_no_room_does_not_take_the_place_of_one_that_is_down() -> None:
    routes: list[dict[str, Any]] = [{"name": "r", "use": ["coder", "tiny"]}]
    takes = {"tiny": Estimate(5_000), "coder": Estimate(5_000)}
    assert choose(routes, takes=takes, status={"coder": DOWN}).models == ("coder",)


def test_longer_models_are_those_with_a_longer_context_or_an_unknown_one() -> None:
    selector = Selector(file_of([]), {**FACTS, "coder": ModelFacts()})
    assert selector.longer(MODELS, "tiny") == ("big", "coder")
    assert selector.longer(("tiny", "embedder"), "tiny") == ()


@pytest.mark.parametrize(
    ("require", "models"),
    [
        ({"family": "qwen2.5"}, ("tiny", "coder")),
        ({"family": ["llama", "BGE"]}, ("big", "embedder")),
        ({"parameters": {"min": 500, "max": 30_000}}, ("tiny", "coder")),
        ({"context": 8_000}, ("big", "coder")),
        ({"model_class": ["tiny", "medium"]}, MODELS),
        ({"family": "qwen2.5", "context": 8_000}, ("coder",)),
    ],
)
def test_require_filters(require: dict[str, Any], models: tuple[str, ...]) -> None:
    assert choose([{**ALL, "require": require}]).models == models


def test_who_is_left_out_is_told_with_the_reason() -> None:
    reasons = choose([{**ALL, "require": {"family": "llama"}}]).reasons
    assert "tiny is left out: its family is qwen2.5, not llama" in reasons


def test_an_unknown_fact_does_not_meet_a_requirement() -> None:
    routes: list[dict[str, Any]] = [
        {"name": "r", "require": {"parameters": {"max": 10}}, "use": ["big", "tiny"]}
    ]
    choice = choose(routes, facts={})
    assert choice.rule == "none"
    assert "big is left out: its number of parameters is unknown" in choice.reasons


def test_a_rule_that_keeps_no_model_is_passed_over() -> None:
    routes: list[dict[str, Any]] = [
        {"name": "none of these", "require": {"family": "yi"}, "use": ["big"]},
        {"name": "next", "use": "tiny"},
    ]
    choice = choose(routes)
    assert choice.rule == "next"
    assert "rule 'none of these' matched, but none of its models will do" in choice.reasons


def test_names_are_models_aliases_auto_and_variants() -> None:
    names = Selector(file_of([], {"big": ["gpt-4o"]}), FACTS).names
    variants = ("small", "medium", "large", "fast", "best", "code", "math")
    assert names[:13] == (*MODELS, "gpt-4o", "auto", *(f"auto:{name}" for name in variants))
    assert names[-1] == "auto:tool_use"


def test_explain_tries_every_rule() -> None:
    routes: list[dict[str, Any]] = [{"name": "code", "when": {"task": "code"}, "use": "coder"}, ALL]
    selector = Selector(file_of(routes), FACTS)
    verdicts = selector.explain(Asked("auto", Endpoint.CHAT), weighed())
    assert [(verdict.rule, verdict.matched) for verdict in verdicts] == [
        ("code", False),
        ("all", True),
    ]
    assert verdicts[0].reason == "task is general, not code"
    assert selector.explain(Asked("big", Endpoint.CHAT), weighed()) == ()
