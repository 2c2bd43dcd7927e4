"""A request's own demands on its model: where they stand, what they mean, who meets them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema import RoutingFile
from gateway.domain import Asked, Choice, Endpoint, LicenceTerms, ModelFacts, Weighed
from gateway.errors import ConstraintsUnmet, InvalidRequest
from gateway.selection import Selector, constraints_of
from gateway.selection.constraints import constraint_refusal

APACHE = LicenceTerms("open", spdx="Apache-2.0", commercial=True)
RESEARCH = LicenceTerms("research", commercial=False)
LLAMA = LicenceTerms("conditional", commercial=True)
FACTS = {
    "small": ModelFacts("qwen2.5", 500_000_000, context_tokens=32_768, licence=APACHE),
    "large": ModelFacts("llama-3.1", 70_000_000_000, context_tokens=131_072, licence=LLAMA),
    "lab": ModelFacts("qwen2.5", 3_000_000_000, context_tokens=8_192, licence=RESEARCH),
    "strange": ModelFacts(),
}
FILE = RoutingFile.model_validate(
    {
        "engines": {"e": {"kind": "remote", "url": "http://127.0.0.1:1/v1"}},
        "models": {name: {"engine": "e"} for name in FACTS},
        "routes": [
            {"name": "code", "when": {"task": "code"}, "use": "lab"},
            {"name": "rest", "use": ["large", "small"]},
        ],
    }
)
WEIGHED = Weighed("general", "en", "en", "small", 10, None)


def choose(metadata: Any, model: str | None = None, what: Weighed = WEIGHED) -> Choice:
    asked = Asked(model, Endpoint.CHAT, constraints=constraints_of((), metadata))
    return Selector(FILE, FACTS).choose(asked, what, {})


def meeting(metadata: Any) -> list[str]:
    constraints = constraints_of((), metadata)
    return [name for name, facts in FACTS.items() if constraint_refusal(facts, constraints) is None]


@pytest.mark.parametrize(
    ("metadata", "names"),
    [
        ({"weighbridge_licence": "open"}, ["small"]),
        ({"weighbridge_license": "Apache-2.0, MIT"}, ["small"]),
        ({"weighbridge_licence": "commercial"}, ["small", "large"]),
        ({"weighbridge_licence": "research,apache-2.0"}, ["small", "lab"]),
        ({"weighbridge_licence": "unknown"}, ["strange"]),
        ({"weighbridge_family": "Qwen2.5"}, ["small", "lab"]),
        ({"weighbridge_family": "yi, llama-3.1"}, ["large"]),
        ({"weighbridge_max_parameters": "3B"}, ["small", "lab"]),
        ({"weighbridge_max_parameters": 2_999_999_999}, ["small"]),
        ({"weighbridge_max_parameters": "0.5b"}, ["small"]),
        ({"weighbridge_min_context": "32k"}, ["small", "large"]),
        ({"weighbridge_min_context": "32768"}, ["small", "large"]),
        ({"weighbridge_min_context": "100000", "weighbridge_licence": "open"}, []),
        ({"other": "open", "weighbridge": "x"}, list(FACTS)),
        ("no object", list(FACTS)),
        (None, list(FACTS)),
    ],
)
def test_a_constraint_is_met_by_what_is_known_to_meet_it(metadata: Any, names: list[str]) -> None:
    assert meeting(metadata) == names


def test_headers_demand_as_metadata_does_and_neither_weakens_the_other() -> None:
    headers = ((b"x-weighbridge-max-parameters", b"3B"), (b"x-weighbridge-language", b"de"))
    (found,) = constraints_of(headers, {})
    assert (found.kind, found.count) == ("max_parameters", 3 * 10**9)
    both = constraints_of(headers, {"weighbridge_max_parameters": "100B"})
    assert constraint_refusal(FACTS["large"], both) is not None


@pytest.mark.parametrize(
    ("metadata", "param"),
    [
        ({"weighbridge_max_parameters": "many"}, "metadata.weighbridge_max_parameters"),
        ({"weighbridge_min_context": "-1"}, "metadata.weighbridge_min_context"),
        ({"weighbridge_licence": " , "}, "metadata.weighbridge_licence"),
        ({"weighbridge_family": ",".join(["x"] * 33)}, "metadata.weighbridge_family"),
        ({"weighbridge_family": ["qwen2.5"]}, "metadata.weighbridge_family"),
        ({"weighbridge_family": True}, "metadata.weighbridge_family"),
        ({"weighbridge_licnce": "open"}, "metadata.weighbridge_licnce"),
    ],
)
def test_a_constraint_that_cannot_be_read_is_refused_and_never_passed_over(
    metadata: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        constraints_of((), metadata)
    assert caught.value.param == param
    with pytest.raises(InvalidRequest):
        constraints_of([(b"x-weighbridge-min-context", b"long")], None)


def test_a_rule_keeps_those_of_its_models_that_meet_the_request() -> None:
    choice = choose({"weighbridge_licence": "open"})
    assert (choice.models, choice.rule) == (("small",), "rest")
    said = "large is left out: its licence is conditional, and metadata.weighbridge_licence"
    assert any(why.startswith(said) for why in choice.reasons)


def test_a_rule_of_which_nobody_meets_the_request_is_passed_over() -> None:
    code = Weighed("code", "en", "en", "small", 10, None)
    assert choose({}, what=code).rule == "code"
    assert choose({"weighbridge_licence": "commercial"}, what=code).rule == "rest"
    assert choose({"weighbridge_licence": "research"}).models == ("lab",)
    assert choose({"weighbridge_licence": "research"}).rule == "none"


def test_where_nobody_meets_it_each_is_told_with_its_reason() -> None:
    with pytest.raises(ConstraintsUnmet) as caught:
        choose({"weighbridge_family": "yi"})
    error = caught.value
    assert (error.status, error.code) == (400, "no_model_meets_constraints")
    assert error.param == "metadata.weighbridge_family"
    for name in FACTS:
        assert f"{name} is left out" in error.message


def test_of_many_models_the_error_tells_some() -> None:
    models = {f"m{number}": {"engine": "e"} for number in range(50)}
    file = FILE.model_validate({**FILE.model_dump(), "models": models, "routes": []})
    asked = Asked(None, Endpoint.CHAT, constraints=constraints_of((), {"weighbridge_family": "yi"}))
    with pytest.raises(ConstraintsUnmet, match="; and so are 42 more") as caught:
        Selector(file, {}).choose(asked, WEIGHED, {})
    assert "m8 " not in caught.value.message


def test_a_named_model_that_does_not_meet_the_request_is_refused() -> None:
    assert choose({"weighbridge_licence": "open"}, "small").models == ("small",)
    with pytest.raises(ConstraintsUnmet, match="'large' does not meet"):
        choose({"weighbridge_licence": "open"}, "large")


@given(st.dictionaries(st.text(max_size=9), st.integers() | st.text(max_size=9) | st.none()))
def test_metadata_of_others_demands_nothing(metadata: dict[str, Any]) -> None:
    assert constraints_of((), metadata) == ()


@given(st.text(max_size=60), st.sampled_from(["licence", "family", "max_parameters"]))
def test_any_value_is_read_or_refused(value: str, kind: str) -> None:
    try:
        (found,) = constraints_of((), {f"weighbridge_{kind}": value})
    except InvalidRequest as error:
        said = error.message
    else:
        said = f"{found.kind} {found.count}"
        assert found.words or kind == "max_parameters"
    assert 0 < len(said) < 300
