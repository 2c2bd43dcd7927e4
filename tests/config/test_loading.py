"""A file loads, or says what is wrong and where."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.loading import load_config, parse_config
from gateway.config.problems import ConfigError
from gateway.config.schema import NotClause

GOOD = """\
engines:
  lab: {kind: remote, url: "http://gpu:8000/v1", api_key: "${LAB_KEY}"}
models:
  big: {engine: lab, upstream_model: Qwen/Qwen2.5-72B-Instruct, aliases: [gpt-4o]}
routes:
  - {name: north, when: {language: {not: [no, en]}}, use: [big]}
  - {name: rest, use: {any: [big]}}
"""


def problems(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "routing.yaml", {})
    return str(caught.value)


def test_a_good_file_loads_and_norwegian_stays_a_word(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(GOOD)
    loaded = load_config(path, {"LAB_KEY": "s3cret"})
    when = loaded.file.routes[0].when
    assert when is not None
    assert when.language == NotClause.model_validate({"not": ["no", "en"]})
    assert loaded.base == tmp_path.resolve()
    assert "s3cret" not in repr(loaded)


def test_a_misspelt_key_is_placed_and_mended() -> None:
    text = GOOD.replace("${LAB_KEY}", "k").replace("engine: lab", "enigne: lab")
    said = problems(text)
    assert "routing.yaml:4:9: unknown key 'enigne'; did you mean 'engine'?" in said
    assert "the key 'engine' is missing" in said


def test_a_variable_that_is_not_set_is_placed() -> None:
    assert "routing.yaml:2:" in problems(GOOD)
    assert "LAB_KEY is not set" in problems(GOOD)


def test_a_second_key_is_refused() -> None:
    assert "routing.yaml:2:1: the key 'a' stands here a second time" in problems("a: 1\na: 2\n")


def test_nested_aliases_are_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "too many values" in problems("\n".join(lines))


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the file"):
        load_config(tmp_path / "none.yaml", {})


@given(st.text(max_size=200))
def test_any_text_loads_or_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(text, "x", {})
