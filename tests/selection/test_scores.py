"""What each criterion is worth, and the order that the weighted scores make."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.choosing import ScoreSection
from gateway.domain import Asked, Endpoint, ModelFacts, ModelStatus, Weighed
from gateway.selection.candidates import Known
from gateway.selection.scores import Scores, strength_of

BILLION = 10**9
CRITERIA = tuple(ScoreSection.model_fields)


def weighed(**changes: Any) -> Weighed:
    values: dict[str, Any] = {
        "task": "general",
        "language": "de",
        "prompt_language": "de",
        "request_size": "small",
        "prompt_tokens": 10,
        "answer_tokens": None,
    }
    return Weighed(**{**values, **changes})


def score(
    criterion: str,
    facts: ModelFacts | None = None,
    what: Weighed | None = None,
    status: ModelStatus | None = None,
    seen: float = 0.0,
) -> float:
    """Return one criterion's score of one model."""
    known = Known({"m": facts or ModelFacts()}, {"m": status} if status else {})
    asked = Asked("auto", Endpoint.CHAT, seen={"m": seen})
    (found,) = Scores(ScoreSection()).ranked(["m"], asked, what or weighed(), known)
    return dict(found.parts)[criterion]


@pytest.mark.parametrize(
    ("task", "strengths", "worth"),
    [
        ("code", ("code",), 1.0),
        ("code", ("general", "code"), 1.0),
        ("code", ("general",), 0.6),
        ("code", ("math",), 0.2),
        ("code", (), 0.5),
        ("math", ("reasoning",), 1.0),
        ("translation", ("general", "multilingual"), 1.0),
        ("general", ("general",), 1.0),
        ("undecided", ("general",), 1.0),
        ("writing", ("code",), 0.2),
    ],
)
def test_a_model_made_for_the_task_scores_most(
    task: str, strengths: tuple[str, ...], worth: float
) -> None:
    assert score("task", ModelFacts(strengths=strengths), weighed(task=task)) == worth


@pytest.mark.parametrize(
    ("language", "languages", "worth"),
    [
        ("de", ("en", "de"), 1.0),
        ("ja", ("en", "de"), 0.0),
        ("zh-Hant", ("zh",), 1.0),
        ("undecided", ("en",), 0.5),
        ("de", (), 0.5),
    ],
)
def test_an_official_language_scores_one_and_another_none(
    language: str, languages: tuple[str, ...], worth: float
) -> None:
    facts = ModelFacts(languages=languages)
    assert score("language", facts, weighed(language=language)) == worth


def test_the_size_that_goes_with_the_difficulty_scores_most() -> None:
    sizes = [ModelFacts(parameters=count * BILLION) for count in (1, 7, 32, 100)]
    easy = [score("size", facts, weighed(difficulty=0.1)) for facts in sizes]
    hard = [score("size", facts, weighed(difficulty=0.95)) for facts in sizes]
    assert easy == sorted(easy, reverse=True)
    assert hard == sorted(hard)
    assert score("size", ModelFacts(), weighed(difficulty=0.95)) == 0.5


def test_a_mixture_of_experts_stands_between_its_active_and_all_parameters() -> None:
    mixed = strength_of(ModelFacts(parameters=30 * BILLION, active_parameters=3 * BILLION))
    small, large = (strength_of(ModelFacts(parameters=n * BILLION)) for n in (3, 30))
    assert small is not None
    assert mixed is not None
    assert large is not None
    assert small < mixed < large


def test_room_and_readiness_score() -> None:
    assert score("load", status=ModelStatus(in_flight=1, capacity=4)) == 0.75
    assert score("load", status=ModelStatus(in_flight=9, capacity=4)) == 0
    assert score("loaded") == 1
    assert score("loaded", status=ModelStatus(available=False, ready_in_s=10)) == 0.5
    assert score("loaded", status=ModelStatus(available=False, ready_in_s=None)) == 0


def test_who_has_read_the_prompt_scores_by_its_share() -> None:
    assert score("cache", seen=0.25) == 0.25


def test_a_weight_of_nothing_takes_a_criterion_out() -> None:
    facts = {"a": ModelFacts(strengths=("code",)), "b": ModelFacts(strengths=("math",))}
    asked, what = Asked("auto", Endpoint.CHAT), weighed(task="code")
    status = {"a": ModelStatus(in_flight=3, capacity=4)}
    known = Known(facts, status)

    def order(*names: str, **weights: float) -> list[str]:
        found = Scores(ScoreSection(**weights)).ranked(names, asked, what, known)
        return [one.model for one in found]

    assert order("b", "a") == ["a", "b"]
    assert order("a", "b", task=0) == ["b", "a"]
    assert order("b", "a", **dict.fromkeys(CRITERIA, 0)) == ["b", "a"]


FACTS = st.builds(
    ModelFacts,
    parameters=st.none() | st.integers(0, 10**13),
    active_parameters=st.none() | st.integers(0, 10**13),
    languages=st.lists(st.sampled_from(["de", "en", "zh"])).map(tuple),
    strengths=st.lists(st.sampled_from(["general", "code", "math"])).map(tuple),
)
STATUS = st.builds(
    ModelStatus,
    available=st.booleans(),
    in_flight=st.integers(0, 10_000),
    capacity=st.none() | st.integers(1, 100),
    ready_in_s=st.none() | st.floats(0, 1e6),
)
WEIGHED = st.builds(
    weighed,
    task=st.sampled_from(["code", "math", "general", "undecided", "vision"]),
    language=st.sampled_from(["de", "zh-Hant", "undecided"]),
    difficulty=st.floats(0, 1),
)
WEIGHTS = st.builds(ScoreSection, **{name: st.floats(0, 1_000) for name in CRITERIA})
NAMES = ("a", "b", "c")


@given(
    st.fixed_dictionaries(dict.fromkeys(NAMES, FACTS)),
    st.dictionaries(st.sampled_from(NAMES), STATUS),
    WEIGHED | st.none(),
    WEIGHTS,
    st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1)),
)
def test_every_score_lies_between_0_and_1_and_everybody_stays(
    facts: dict[str, ModelFacts],
    status: dict[str, ModelStatus],
    what: Weighed | None,
    weights: ScoreSection,
    seen: dict[str, float],
) -> None:
    asked = Asked("auto", Endpoint.CHAT, seen=seen)
    found = Scores(weights).ranked(NAMES, asked, what, Known(facts, status))
    assert {one.model for one in found} == set(NAMES)
    for one in found:
        assert all(0 <= value <= 1 for _, value in (*one.parts, ("total", one.total)))
    totals = [round(one.total, 9) for one in found]
    assert totals == sorted(totals, reverse=True)


def test_by_default_a_specialist_of_unknown_languages_wins_its_task_and_loses_other_tongues() -> (
    None
):
    facts = {
        "all": ModelFacts(parameters=7 * BILLION, languages=("de",), strengths=("general",)),
        "coder": ModelFacts(parameters=7 * BILLION, strengths=("code",)),
        "english": ModelFacts(parameters=7 * BILLION, languages=("en",), strengths=("code",)),
    }

    def best(*names: str, task: str) -> str:
        asked, known = Asked("auto", Endpoint.CHAT), Known(facts, {})
        found = Scores(ScoreSection()).ranked(names, asked, weighed(task=task), known)
        return found[0].model

    assert best("all", "coder", task="code") == "coder"
    assert best("coder", "all", task="general") == "all"
    assert best("english", "all", task="code") == "all"
