"""LiteLLM's configuration comes to the same names, servers and order of fallbacks."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.loading import parse_config
from gateway.config.schema import RoutingFile
from gateway.setup.importing import NotReadable, Reading, read_foreign


def reading_of(tree: object) -> Reading:
    return read_foreign(yaml.safe_dump(tree), "config.yaml")


def file_of(reading: Reading) -> RoutingFile:
    return parse_config(reading.text, "routing.yaml", dict.fromkeys(reading.variables, "k")).file


def deployment(name: str, model: str, base: str | None = None, **params: Any) -> dict[str, Any]:
    reached = {} if base is None else {"api_base": base}
    return {"model_name": name, "litellm_params": {"model": model, **reached, **params}}


GPU1, GPU2 = "http://gpu1:8000/v1", "http://gpu2:8000/v1"
QWEN = "hosted_vllm/Qwen/Qwen2.5-72B-Instruct"


def test_two_deployments_of_one_model_are_one_model_on_two_engines() -> None:
    file = file_of(
        reading_of({"model_list": [deployment("big", QWEN, GPU1), deployment("big", QWEN, GPU2)]})
    )
    assert file.models["big"].engine == ("gpu1", "gpu2")
    assert file.models["big"].upstream_model == "Qwen/Qwen2.5-72B-Instruct"
    assert file.routes == ()


def test_deployments_that_differ_share_a_name_by_their_weights() -> None:
    rows = [
        deployment("small", "ollama/llama3.2:3b", weight=3),
        deployment("small", "openai/qwen", GPU1, api_key="none"),
    ]
    file = file_of(reading_of({"model_list": rows}))
    assert file.aliases == {"small": "auto:small-group"}
    use = file.routes[0].use
    assert getattr(use, "split", None) == {"small-local": 3, "small-gpu1": 1}


def test_fallbacks_stand_behind_a_name_in_their_order() -> None:
    tree = {
        "model_list": [
            deployment("big", QWEN, GPU1),
            deployment("mid", "hosted_vllm/mid", GPU2),
            deployment("tiny", "hosted_vllm/tiny", GPU2),
        ],
        "litellm_settings": {
            "fallbacks": [{"big": ["mid"]}],
            "context_window_fallbacks": [{"big": ["tiny"]}],
        },
    }
    file = file_of(reading_of(tree))
    assert file.aliases == {"big": "auto:big"}
    assert file.routes[0].use == ("big-gpu1", "mid", "tiny")


def test_fallbacks_may_name_a_name_of_several_models() -> None:
    tree = {
        "model_list": [
            deployment("big", QWEN, GPU1),
            deployment("pair", "hosted_vllm/a", GPU1),
            deployment("pair", "hosted_vllm/b", GPU2),
        ],
        "router_settings": {
            "fallbacks": [{"big": ["nick"]}],
            "model_group_alias": {"nick": "pair"},
        },
    }
    file = file_of(reading_of(tree))
    assert next(rule for rule in file.routes if rule.name == "big").use == (
        "big-gpu1", "pair-gpu1", "pair-gpu2",
    )  # fmt: skip
    assert file.aliases["nick"] == "pair"


def test_a_key_in_the_file_is_never_copied() -> None:
    reading = reading_of({"model_list": [deployment("m", QWEN, GPU1, api_key="sk-secret-1")]})
    assert "sk-secret" not in reading.text + repr(reading.left)
    assert reading.variables == ("GPU1_KEY",)
    assert any("GPU1_KEY" in one.message for one in reading.left)


def test_a_providers_address_and_variable_are_known() -> None:
    reading = reading_of({"model_list": [deployment("fast", "groq/llama-3.1-8b-instant")]})
    engine = file_of(reading).engines["api"]
    assert getattr(engine, "url", None) == "https://api.groq.com/openai/v1"
    assert reading.variables == ("GROQ_API_KEY",)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (deployment("c", "anthropic/claude-3"), "API of its own"),
        (deployment("openai/*", "openai/*"), "`*`"),
        (deployment("v", "hosted_vllm/v"), "no api_base"),
        (deployment("v", "hosted_vllm/v", "os.environ/BASE"), "variable"),
        (deployment("v", "hosted_vllm/v", "http://u:p@host/v1"), "cannot be used"),
    ],
)
def test_what_cannot_be_reached_is_told_with_its_line(row: dict[str, Any], why: str) -> None:
    reading = reading_of({"model_list": [deployment("ok", QWEN, GPU1), row]})
    assert list(file_of(reading).models) == ["ok"]
    assert any(why in one.message and one.line > 4 for one in reading.left), reading.left


def test_deadlines_and_breakers_are_carried_over() -> None:
    tree = {
        "model_list": [deployment("m", QWEN, GPU1), deployment("n", QWEN, GPU2, timeout=30)],
        "litellm_settings": {"request_timeout": 600},
        "router_settings": {"allowed_fails": 2, "cooldown_time": 45, "routing_strategy": "x"},
    }
    reading = reading_of(tree)
    file = file_of(reading)
    assert file.models["m"].total_timeout_s == 600
    assert file.models["n"].total_timeout_s == 30
    assert (file.gateway.breaker_failures, file.gateway.breaker_open_s) == (2, 45)
    assert [one.message.split(":")[0] for one in reading.left] == [
        "router_settings.routing_strategy"
    ]


def test_a_file_without_a_model_that_can_be_carried_over_says_why() -> None:
    with pytest.raises(NotReadable, match=r"config.yaml:\d+:\d+: .*API of its own"):
        reading_of({"model_list": [deployment("c", "bedrock/claude")]})


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
_names = st.sampled_from(["a", "b", "auto", "auto:x", "small", "", "a*", "x y", "${HOME}", "é"])
_bases = st.sampled_from([None, GPU1, "gpu3:9", "http://[", "https://h/x", 7, "os.environ/A"])
_params = st.fixed_dictionaries(
    {"model": st.sampled_from([QWEN, "ollama/x:1", "openai/y", "azure/z", "w", "a/b/c", ""])},
    optional={
        "api_base": _bases,
        "api_key": _scalars,
        "timeout": _scalars,
        "weight": _scalars,
        "max_parallel_requests": _scalars,
        "rpm": _values,
    },
)
_rows = st.fixed_dictionaries(
    {"model_name": _names, "litellm_params": _params | _values},
    optional={"model_info": st.fixed_dictionaries({"mode": _scalars}) | _values},
)
_fallbacks = st.lists(st.dictionaries(_names, st.lists(_names | _values, max_size=2)), max_size=2)
_trees = st.fixed_dictionaries(
    {"model_list": st.lists(_rows, max_size=5) | _values},
    optional={
        "router_settings": st.fixed_dictionaries(
            {},
            optional={
                "fallbacks": _fallbacks | _values,
                "model_group_alias": st.dictionaries(_names, _names | _values),
                "allowed_fails": _scalars,
                "cooldown_time": _scalars,
            },
        )
        | _values,
        "litellm_settings": st.fixed_dictionaries(
            {}, optional={"default_fallbacks": st.lists(_names), "request_timeout": _scalars}
        ),
    },
)


@given(_trees)
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_it_the_result_can_be_served_or_the_file_is_refused(
    tree: dict[str, Any],
) -> None:
    try:
        reading = read_foreign(json.dumps(tree), "config.yaml")
    except NotReadable as refusal:
        refused = str(refusal)
    else:
        refused = ""
        assert file_of(reading).models
    assert "please report" not in refused
