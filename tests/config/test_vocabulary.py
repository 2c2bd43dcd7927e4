"""Conditions know exactly the words that weighing gives."""

import ast
from pathlib import Path

import pytest

import gateway.classify
from gateway.classify.han import varieties_of_han
from gateway.classify.lexicon import read_data
from gateway.classify.scripts import SHARED, SOLE
from gateway.classify.size import size_of
from gateway.classify.task_model import load_weights
from gateway.config.vocabulary import LANGUAGES, REQUEST_SIZES, TASKS, language_meant
from gateway.config.weighing import SizeSection
from gateway.domain import UNDECIDED, Estimate

CLASSIFY = Path(str(gateway.classify.__file__)).parent


def test_the_languages_are_those_that_detector_and_lexicons_give() -> None:
    named = {code for _, asking in read_data("asking") for code in asking["names"]}
    han = {varieties_of_han(text)[0] for text in ("说", "說", "駅")}
    given = set(SOLE.values()).union(*SHARED.values()) | named | han
    assert given == set(LANGUAGES)


def test_the_tasks_are_those_that_the_code_gives() -> None:
    files = ("shape.py", "weigher.py")
    tree = ast.parse("".join((CLASSIFY / file).read_text() for file in files))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and n.args]
    first = [n.args[0] for n in calls if isinstance(n.func, ast.Name) and n.func.id == "Task"]
    of_shape = {one.value for one in first if isinstance(one, ast.Constant)}
    assert of_shape | set(load_weights().header.tasks) | {UNDECIDED} == set(TASKS)


@pytest.mark.parametrize("tokens", [0, 499, 500, 3_999, 4_000, 10**9])
def test_the_sizes_are_those_that_are_given(tokens: int) -> None:
    assert size_of(Estimate(tokens), None, SizeSection()).name in REQUEST_SIZES


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("jp", "ja"),
        ("cn", "zh"),
        ("kr", "ko"),
        ("english", "en"),
        ("German", "de"),
        ("espanish", "es"),
        ("en_US", "en"),
        ("zh-Hans", "zh"),
        ("zh_hant", "zh-Hant"),
        ("nb", "no"),
        ("unknown", UNDECIDED),
        ("undecide", UNDECIDED),
        ("xx", None),
    ],
)
def test_a_mistaken_language_leads_to_its_code(written: str, meant: str | None) -> None:
    assert language_meant(written) == meant
