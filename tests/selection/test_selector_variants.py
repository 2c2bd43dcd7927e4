"""What `auto:small` and its like mean."""

from typing import Any

import pytest

from gateway.domain import ModelFacts, ModelStatus
from gateway.selection import Selector
from tests.support.choosing import ALL, FACTS, choose, file_of


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
