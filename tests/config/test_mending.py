"""One look at a file tells every mistake in it, and each mistake once."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.loading import parse_config
from gateway.config.problems import ConfigError, Problem

GOOD: dict[str, Any] = {
    "gateway": {"port": 8000},
    "engines": {
        "cpu": {"kind": "llamacpp", "parallel": 4},
        "lab": {"kind": "remote", "url": "http://lab/v1"},
    },
    "models": {
        "small": {"engine": "cpu", "weights": "./s.gguf", "aliases": ["tiny"]},
        "coder": {"engine": "cpu", "weights": "./c.gguf"},
        "big": {"engine": "lab", "upstream_model": "org/Big"},
    },
    "aliases": {"gpt": "big", "one": "gpt", "late": "auto:night"},
    "routes": [
        {"name": "code", "when": {"task": "code"}, "use": ["coder", "gpt"]},
        {"name": "night", "when": {"variant": "night"}, "use": {"any": ["tiny", "one"]}},
        {"name": "rest", "when": {"prompt_tokens": {"max": 9}}, "use": "small"},
    ],
    "sizes": {"small_below": 100, "large_from": 200},
}

EVERYTHING = """\
gateway: {prt: 8000}
engines:
  cpu: {kind: llamacpp}
  lab: {kind: remote, url: "${LAB}"}
models:
  small: {engine: cpuu, weights: x.gguf, wieght: y}
  big: {engine: lab, weights: z}
  new: {engine: cpu}
aliases: {a: b, b: a, c: bigg}
routes:
  - {name: code, when: {task: cod}, use: [smal, big]}
  - {name: code, when: {task: code}, use: 5}
sizes: {small_below: 9, large_from: 2}
"""


def problems(text: str) -> tuple[Problem, ...]:
    try:
        parse_config(text, "r.yaml", {})
    except ConfigError as error:
        return error.problems
    return ()


def said(text: str) -> list[str]:
    return [str(one).removeprefix("r.yaml:") for one in problems(text)]


def test_mistakes_of_every_kind_are_told_together_in_the_order_of_the_file() -> None:
    heads = (
        "1:11: unknown key 'prt'; did you mean 'port'?",
        "4:23: the environment variable LAB is not set",
        "6:11: there is no engine 'cpuu'; did you mean 'cpu'?",
        "6:42: unknown key 'wieght'; did you mean 'weights'?",
        "7:22: 'weights' has no effect",
        "8:3: the engine 'cpu' runs it, so it needs `weights`",
        "9:11: these aliases form a cycle: a -> b -> a",
        "9:23: there is no model or alias 'bigg'; did you mean 'big'?",
        "11:25: there is no task 'cod'; did you mean 'code'?",
        "11:43: there is no model or alias 'smal'; did you mean 'small'?",
        "12:6: an earlier rule is named 'code' too",
        "12:38: 'use': this should be",
        "13:9: small_below (9) is greater than large_from (2)",
    )
    lines = said(EVERYTHING)
    assert len(lines) == len(heads), lines
    for line, head in zip(lines, heads, strict=True):
        assert line.startswith(head)


def test_what_stands_under_a_misspelt_section_is_checked_too() -> None:
    tree = dict(GOOD) | {"modles": GOOD["models"] | {"bad": {"enigne": "labb"}}}
    del tree["models"]
    lines = said(yaml.safe_dump(tree, sort_keys=False))
    assert [line.partition(": ")[2] for line in lines] == [
        "unknown key 'modles'; did you mean 'models'?",
        "there is no engine 'labb'; did you mean 'lab'?",
        "unknown key 'enigne'; did you mean 'engine'?",
    ]


def every_path(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree)
    paths: list[tuple[Any, ...]] = []
    for key, value in inside:
        paths.append((*path, key))
        if isinstance(value, dict | list):
            paths += every_path(value, (*path, key))
    return paths


PATHS = every_path(GOOD)


def spoilt(path: tuple[Any, ...], wrong: Any) -> str:
    tree = yaml.safe_load(yaml.safe_dump(GOOD))
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = wrong
    return yaml.safe_dump(tree, sort_keys=False)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("wrong", [[[]], "${UNSET}"], ids=str)
def test_a_value_that_cannot_be_read_makes_no_finding_elsewhere(
    path: tuple[Any, ...], wrong: Any
) -> None:
    found = problems(spoilt(path, wrong))
    # Of a list in a list, both are told where a list might have been meant.
    assert len({(one.line, one.column) for one in found}) <= (1 if isinstance(wrong, str) else 2)
    for one in found:
        assert "kind of engine" in one.message or not one.message.startswith("there is no")
        for words in ("circle", "no effect", "needs", "greater"):
            assert words not in one.message


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(["x", None, 5, [], {}]))))
def test_however_many_values_are_wrong_the_file_is_read_to_its_end(
    changes: list[tuple[tuple[Any, ...], Any]],
) -> None:
    tree = yaml.safe_load(yaml.safe_dump(GOOD))
    for path, wrong in changes:
        node = tree
        try:
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = wrong
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    found = problems(yaml.safe_dump(tree))
    assert list(found) == sorted(set(found))
    assert not [one for one in found if "stand.in" in one.message or "'?'" in one.message]


def test_a_second_copy_of_a_section_makes_its_names_unsure() -> None:
    text = yaml.safe_dump(GOOD, sort_keys=False) + "models: {other: {engine: lab}}\n"
    (only,) = said(text)
    assert "the key 'models' appears twice" in only
