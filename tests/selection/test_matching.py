"""Each condition of a rule's `when:`, and the words that explain it."""

from typing import Any

import pytest

from gateway.config.conditions import WhenSection
from gateway.domain import Asked, Endpoint, Weighed
from gateway.selection.matching import Verdict, conditions_of, features_of, verdict


def weighed(**changes: Any) -> Weighed:
    values: dict[str, Any] = {
        "task": "code",
        "language": "de",
        "prompt_language": "en",
        "request_size": "small",
        "prompt_tokens": 120,
        "answer_tokens": None,
    }
    return Weighed(**{**values, **changes})


def tried(
    when: dict[str, Any],
    what: Weighed | None = None,
    *,
    variant: str = "",
    headers: tuple[tuple[str, str], ...] = (),
) -> Verdict:
    asked = Asked("auto", Endpoint.CHAT, headers)
    features = features_of(asked, what, variant)
    return verdict("r", conditions_of(WhenSection.model_validate(when)), features)


@pytest.mark.parametrize(
    ("when", "matched"),
    [
        ({"task": "code"}, True),
        ({"task": "math"}, False),
        ({"task": ["math", "code"]}, True),
        ({"language": "de"}, True),
        ({"language": "DE"}, True),
        ({"language": {"not": "de"}}, False),
        ({"language": {"not": ["en", "fr"]}}, True),
        ({"prompt_language": ["en"]}, True),
        ({"request_size": "large"}, False),
        ({"prompt_tokens": {"min": 120, "max": 120}}, True),
        ({"prompt_tokens": {"min": 121}}, False),
        ({"prompt_tokens": {"max": 119}}, False),
        ({"difficulty": {"min": 0.5, "max": 0.5}}, True),
        ({"difficulty": {"min": 0.51}}, False),
        ({"difficulty": {"max": 0.4}}, False),
        ({"tools": False}, True),
        ({"images": True}, False),
        ({"json_schema": False}, True),
        ({"task": "code", "language": "fr"}, False),
        ({}, True),
    ],
)
def test_a_condition_holds_or_not(when: dict[str, Any], *, matched: bool) -> None:
    assert tried(when, weighed()).matched is matched


@pytest.mark.parametrize("key", ["language", "prompt_language", "task"])
def test_undecided_matches_only_its_own_condition(key: str) -> None:
    unsure = weighed(**{key: "undecided"})
    assert tried({key: "undecided"}, unsure).matched
    assert not tried({key: {"not": "en"}}, unsure).matched
    assert not tried({key: {"not": "undecided"}}, unsure).matched
    assert tried({key: {"not": "undecided"}}, weighed()).matched


def test_a_language_stands_for_its_varieties() -> None:
    assert tried({"language": "zh"}, weighed(language="zh-Hant")).matched
    assert not tried({"language": "zh-Hant"}, weighed(language="zh")).matched
    assert not tried({"language": {"not": "zh"}}, weighed(language="zh-Hant")).matched


def test_a_variant_is_no_variety_of_what_its_name_begins_with() -> None:
    for when in ("night", {"not": "night-long"}):
        assert not tried({"variant": when}, weighed(), variant="night-long").matched
    assert tried({"variant": "night-long"}, weighed(), variant="night-long").matched
    assert tried({"language": "zh"}, weighed(language="zh-Hant")).matched


def test_a_variant_is_the_part_behind_auto() -> None:
    assert tried({"variant": "small"}, weighed(), variant="small").matched
    assert not tried({"variant": "small"}, weighed(), variant="").matched
    assert tried({"variant": {"not": "small"}}, weighed(), variant="").matched


def test_header_names_ignore_case_and_values_do_not() -> None:
    headers = (("X-Team", "Blue"),)
    assert tried({"header": {"x-team": "Blue"}}, weighed(), headers=headers).matched
    assert not tried({"header": {"x-team": "blue"}}, weighed(), headers=headers).matched
    assert not tried({"header": {"x-team": "Blue"}}, weighed()).matched


def test_a_header_that_does_not_match_is_not_repeated() -> None:
    answer = tried({"header": {"x-team": "blue"}}, weighed(), headers=(("x-team", "s3cret"),))
    assert "s3cret" not in answer.reason


@pytest.mark.parametrize(
    "when",
    [
        {"task": "code"},
        {"task": {"not": "code"}},
        {"prompt_tokens": {"min": 0}},
        {"tools": False},
    ],
)
def test_nothing_holds_for_a_request_that_was_not_weighed(when: dict[str, Any]) -> None:
    assert not tried(when).matched


def test_reasons_say_what_the_value_is() -> None:
    assert tried({"task": ["math", "code"]}, weighed()).reason == "task is code"
    assert tried({"task": "math"}, weighed()).reason == "task is code, not math"
    assert "120, less than 500" in tried({"prompt_tokens": {"min": 500}}, weighed()).reason
    assert tried({}, weighed()).reason == "it has no conditions"
