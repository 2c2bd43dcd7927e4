"""Shares, shadows and weights in routing.yaml: what is refused, and where it says so."""

import pytest

from gateway.config.loading import parse_config
from gateway.config.problems import ConfigError

HEAD = """\
engines: {e: {kind: remote, url: "http://127.0.0.1:1/v1"}}
models: {old: {engine: e, aliases: [stable]}, new: {engine: e}}
"""


def problems(tail: str) -> list[str]:
    try:
        parse_config(HEAD + tail, "f.yaml", {})
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "tail",
    [
        "routes: [{name: r, use: {split: {old: 95, new: 5}}}]",
        "routes: [{name: r, use: {split: {stable: 1}, sticky: none}, shadow: {model: new}}]",
        "routes: [{name: r, use: old, shadow: {model: stable, percent: 0.5}}]",
        "scores: {task: 0, load: 2.5}",
    ],
)
def test_these_are_accepted(tail: str) -> None:
    assert problems(tail) == []


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ("routes: [{name: r, use: {split: {old: 1, nwe: 2}}}]", "did you mean 'new'?"),
        ("routes: [{name: r, use: {split: {old: 0, new: 0}}}]", "no model has a share"),
        ("routes: [{name: r, use: {split: {}}}]", "split"),
        ("routes: [{name: r, use: {split: {old: -1}}}]", "greater than or equal to 0"),
        ("routes: [{name: r, use: {split: {old: 1}, sticky: forever}}]", "sticky"),
        ("routes: [{name: r, use: old, shadow: {model: auto}}]", "cannot send to 'auto'"),
        ("routes: [{name: r, use: old, shadow: {model: nwe}}]", "did you mean 'new'?"),
        ("routes: [{name: r, use: old, shadow: {model: new, percent: 101}}]", "100"),
        ("scores: {tusk: 1}", "did you mean 'task'?"),
        ("scores: {task: -1}", "greater than or equal to 0"),
    ],
)
def test_these_are_refused_in_one_sentence(tail: str, said: str) -> None:
    (found,) = problems(tail)
    assert said in found
    assert found.startswith("f.yaml:3:")
