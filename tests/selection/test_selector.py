"""What a name means, which rule decides, who is left out, and the order of the rest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema import RoutingFile
from gateway.domain import Asked, Choice, Endpoint, Estimate, ModelFacts, ModelStatus, Weighed
from gateway.errors import CapabilityMissing, ContextLengthExceeded, ModelNotFound
from gateway.selection import Selector

MODELS = ("tiny", "big", "coder", "embedder")
FACTS = {
    "tiny": ModelFacts(family="qwen2.5", parameters=500, context_tokens=1_000, embeddings=False),
    "big": ModelFacts(
        family="llama", parameters=70_000, active_parameters=70_000, context_tokens=100_000
    ),
    "coder": ModelFacts(
        family="qwen2.5", parameters=30_000, active_parameters=300, context_tokens=8_000
    ),
    "embedder": ModelFacts(family="bge", parameters=100, context_tokens=500, embeddings=True),
}
DOWN = ModelStatus(available=False, reason="it is restarting")


def file_of(
    routes: list[dict[str, Any]], aliases: dict[str, list[str]] | None = None
) -> RoutingFile:
    return RoutingFile.model_validate(
        {
            "engines": {"e": {"kind": "remote", "url": "http://127.0.0.1:1/v1"}},
            "models": {
                name: {"engine": "e", "aliases": (aliases or {}).get(name, [])} for name in MODELS
            },
            "routes": routes,
        }
    )


def weighed(**changes: Any) -> Weighed:
    values: dict[str, Any] = {
        "task": "general",
        "language": "en",
        "prompt_language": "en",
        "request_size": "small",
        "prompt_tokens": 10,
        "answer_tokens": None,
    }
    return Weighed(**{**values, **changes})


def choose(
    routes: list[dict[str, Any]],
    model: str | None = None,
    *,
    what: Weighed | None = None,
    status: dict[str, ModelStatus] | None = None,
    endpoint: Endpoint = Endpoint.CHAT,
    facts: dict[str, ModelFacts] | None = None,
    aliases: dict[str, list[str]] | None = None,
    takes: dict[str, Estimate] | None = None,
) -> Choice:
    selector = Selector(file_of(routes, aliases), FACTS if facts is None else facts)
    return selector.choose(
        Asked(model, endpoint, takes=takes or {}), what or weighed(), status or {}
    )


ALL: dict[str, Any] = {"name": "all", "use": list(MODELS)}


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


def test_embeddings_go_to_a_model_that_makes_them() -> None:
    routes: list[dict[str, Any]] = [{"name": "r", "use": ["big", "tiny"]}]
    choice = choose(routes, endpoint=Endpoint.EMBEDDINGS, facts={**FACTS, "big": FACTS["tiny"]})
    assert choice.models == ("embedder",)


def test_embeddings_of_a_named_model_that_makes_none_are_refused_with_those_that_do() -> None:
    with pytest.raises(CapabilityMissing, match=r"'tiny' makes no embeddings.*embedder") as caught:
        choose([ALL], "tiny", endpoint=Endpoint.EMBEDDINGS)
    assert caught.value.status == 400


def test_embeddings_of_a_model_of_which_nothing_is_known_are_tried() -> None:
    assert choose([ALL], "big", endpoint=Endpoint.EMBEDDINGS).models == ("big",)


def test_embeddings_where_no_model_makes_them_are_refused() -> None:
    facts = dict.fromkeys(MODELS, ModelFacts(embeddings=False))
    with pytest.raises(CapabilityMissing, match="No model here makes embeddings"):
        choose([ALL], "auto", endpoint=Endpoint.EMBEDDINGS, facts=facts)


def test_ranks_are_given_by_a_head_for_it_else_by_likeness_else_by_whoever_may() -> None:
    heads = {**FACTS, "coder": ModelFacts(reranks=True)}
    for endpoint in (Endpoint.RERANK, Endpoint.SCORE):
        assert choose([ALL], endpoint=endpoint, facts=heads).models == ("coder",)
        assert choose([ALL], endpoint=endpoint).models == ("embedder",)
        assert choose([ALL], endpoint=endpoint, facts={}).models == MODELS


def test_a_model_that_cannot_rank_is_refused_with_those_that_can() -> None:
    facts = {**FACTS, "tiny": ModelFacts(reranks=False, embeddings=False)}
    with pytest.raises(CapabilityMissing, match=r"'tiny' ranks nothing. .* embedder\."):
        choose([ALL], "tiny", endpoint=Endpoint.RERANK, facts=facts)
    nobody = dict.fromkeys(MODELS, facts["tiny"])
    with pytest.raises(CapabilityMissing, match=r"No model here ranks .*`reranks: true`"):
        choose([ALL], "auto", endpoint=Endpoint.SCORE, facts=nobody)


def test_text_is_asked_of_models_that_generate() -> None:
    facts = {**FACTS, "embedder": ModelFacts(embeddings=True, generates=False)}
    choice = choose([ALL], facts=facts)
    assert choice.models == ("tiny", "big", "coder")
    assert "embedder is left out: it generates no text" in choice.reasons
    with pytest.raises(CapabilityMissing, match=r"'embedder' generates no text\. Ask one"):
        choose([ALL], "embedder", facts=facts)


def test_images_go_to_models_that_read_them_where_there_are_any() -> None:
    seeing = {**FACTS, "coder": ModelFacts(vision=True)}
    assert choose([ALL], what=weighed(images=True), facts=seeing).models == ("coder",)
    assert choose([ALL], what=weighed(images=True)).models == MODELS


def test_tools_go_to_models_that_are_not_known_to_call_none() -> None:
    facts = {**FACTS, "tiny": ModelFacts(tools=False), "coder": ModelFacts(tools=True)}
    choice = choose([ALL], what=weighed(tools=True), facts=facts)
    assert choice.models == ("big", "coder", "embedder")
    assert "tiny is left out: it does not call tools" in choice.reasons
    assert choose([ALL], facts=facts).models[0] == "tiny"
    none = dict.fromkeys(MODELS, ModelFacts(tools=False))
    assert choose([ALL], what=weighed(tools=True), facts=none).models == MODELS


@pytest.mark.parametrize(
    ("variant", "models"),
    [
        ("best", ("big", "coder", "tiny", "embedder")),
        ("fast", ("embedder", "coder", "tiny", "big")),
    ],
)
def test_variants_of_auto_order_by_size(variant: str, models: tuple[str, ...]) -> None:
    assert choose([ALL], f"auto:{variant}").models == models


@pytest.mark.parametrize(
    ("variant", "models"),
    [
        ("small", ("coder", "tiny", "big", "embedder")),
        ("medium", ("coder", "big", "tiny", "embedder")),
        ("large", ("big", "coder", "tiny", "embedder")),
    ],
)
def test_variants_for_classes_put_the_class_first_and_then_the_nearest(
    variant: str, models: tuple[str, ...]
) -> None:
    billion = 10**9
    facts = {
        "tiny": ModelFacts(parameters=billion),
        "big": ModelFacts(parameters=70 * billion),
        "coder": ModelFacts(parameters=30 * billion, active_parameters=3 * billion),
        "embedder": ModelFacts(),
    }
    assert choose([ALL], f"auto:{variant}", facts=facts).models == models


@pytest.mark.parametrize(
    ("billions", "model_class"),
    [(0.5, "tiny"), (2, "small"), (9.9, "small"), (10, "medium"), (40, "large"), (405, "large")],
)
def test_classes_of_models_are_by_their_active_parameters(
    billions: float, model_class: str
) -> None:
    count = round(billions * 10**9)
    assert ModelFacts(parameters=count).model_class == model_class
    assert ModelFacts(parameters=10**12, active_parameters=count).model_class == model_class
    assert ModelFacts().model_class is None


def test_auto_fast_puts_a_full_model_last() -> None:
    status = {"embedder": ModelStatus(in_flight=4, capacity=4)}
    assert choose([ALL], "auto:fast", status=status).models[-1] == "embedder"


def test_a_model_of_unknown_size_comes_last_in_every_variant() -> None:
    facts = {name: known for name, known in FACTS.items() if name != "big"}
    for variant in ("small", "medium", "large", "fast", "best"):
        assert choose([ALL], f"auto:{variant}", facts=facts).models[-1] == "big"


def test_a_rule_that_names_the_variant_keeps_its_own_order() -> None:
    routes: list[dict[str, Any]] = [
        {"name": "s", "when": {"variant": "small"}, "use": ["big", "tiny"]},
        ALL,
    ]
    assert choose(routes, "auto:small").models == ("big", "tiny")


def test_a_rule_may_make_a_variant_of_its_own() -> None:
    routes: list[dict[str, Any]] = [{"name": "c", "when": {"variant": "cheap"}, "use": "tiny"}, ALL]
    assert choose(routes, "auto:cheap").rule == "c"
    assert "auto:cheap" in Selector(file_of(routes), FACTS).names


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
