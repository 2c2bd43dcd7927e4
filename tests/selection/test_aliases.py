"""Aliases of all kinds: of models, of other aliases, of `auto`; and rules that use them."""

from typing import Any

import pytest

from gateway.config.schema import RoutingFile
from gateway.domain import Asked, Endpoint, ModelFacts, Weighed
from gateway.errors import ModelNotFound
from gateway.selection import Selector

ALIASES = {
    "gpt-4o": "big",
    "gpt": "gpt-4o",
    "any": "auto",
    "quick": "fastest",
    "fastest": "auto:fast",
    "night": "auto:night",
}
WEIGHED = Weighed("general", "en", "en", "small", 5, None)


def selector(aliases: dict[str, str], **route: Any) -> Selector:
    file = RoutingFile.model_validate(
        {
            "engines": {"lab": {"kind": "remote", "url": "http://lab/v1"}},
            "models": {
                "big": {"engine": "lab", "aliases": ["gpt-4o-mini"]},
                "little": {"engine": "lab"},
            },
            "aliases": aliases,
            "routes": [
                {"name": "at night", "when": {"variant": "night"}, "use": "little"},
                {"name": "rest", "use": ["gpt", "big", "little"]} | route,
            ],
        }
    )
    facts = {"big": ModelFacts(parameters=70), "little": ModelFacts(parameters=1)}
    return Selector(file, facts)


@pytest.mark.parametrize("name", ["gpt-4o", "gpt", "gpt-4o-mini"])
def test_an_alias_means_its_model_over_any_number_of_steps(name: str) -> None:
    meaning = selector(ALIASES).meaning(name)
    assert (meaning.model, meaning.rule) == ("big", "alias")


@pytest.mark.parametrize(
    ("name", "models", "rule"),
    [
        ("any", ("big", "little"), "rest"),
        ("quick", ("little", "big"), "rest"),
        ("night", ("little",), "at night"),
    ],
)
def test_an_alias_of_auto_is_decided_by_the_rules(
    name: str, models: tuple[str, ...], rule: str
) -> None:
    choice = selector(ALIASES).choose(Asked(name, Endpoint.CHAT), WEIGHED, {})
    assert (choice.models, choice.rule) == (models, rule)


def test_a_rule_may_name_aliases_and_each_model_is_tried_once() -> None:
    choice = selector(ALIASES, use={"any": ["gpt", "gpt-4o-mini", "big"]}).choose(
        Asked("auto", Endpoint.CHAT), WEIGHED, {}
    )
    assert choice.models == ("big",)


def test_aliases_are_among_the_names_and_near_names_are_told() -> None:
    one = selector(ALIASES)
    assert set(ALIASES) | {"gpt-4o-mini"} < set(one.names)
    with pytest.raises(ModelNotFound, match="quick"):
        one.meaning("quicky")


def test_aliases_that_lead_nowhere_mean_nothing() -> None:
    one = selector({"gpt": "big", "lost": "gone", "a": "b", "b": "a", "slow": "auto:slow"})
    for name in ("lost", "a", "b", "slow"):
        assert name not in one.names
        with pytest.raises(ModelNotFound):
            one.meaning(name)
