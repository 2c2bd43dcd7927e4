"""A file loads, or says what is wrong and where."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli.config_source import PACKAGED
from gateway.config.conditions import NotClause
from gateway.config.loading import LoadedConfig, load_config, parse_config
from gateway.config.problems import ConfigError
from gateway.domain import Asked, Endpoint
from gateway.selection import Selector

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


@pytest.mark.parametrize(
    ("written", "meant"),
    [("true", True), ("on", True), ("yes", True), ("off", False), ("no", False), ('"${P}"', True)],
)
def test_a_key_that_wants_a_truth_value_takes_its_words(written: str, meant: bool) -> None:
    text = (
        "engines: {cpu: {kind: llamacpp}}\n"
        f"models: {{m: {{engine: cpu, weights: 'demo:qwen', pin: {written}}}}}\n"
    )
    assert parse_config(text, "r.yaml", {"P": "true"}).file.models["m"].pin is meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [("010", 10), ("0o17", 15), ("0x1F", 31), ("1e3", 1000), ("1_000", 1000), ("+8", 8)],
)
def test_a_whole_number_is_what_yaml_1_2_takes_it_for(written: str, meant: int) -> None:
    text = f"{GOOD}gateway: {{port: {written}}}\n".replace("${LAB_KEY}", "k")
    assert parse_config(text, "r.yaml", {}).file.gateway.port == meant


@pytest.mark.parametrize("written", ["1:30", "0b11", "08:00", "1.5", "2024-11-20"])
def test_what_yaml_1_1_took_for_a_number_is_none(written: str) -> None:
    told = problems(f"{GOOD}gateway: {{port: {written}}}\n".replace("${LAB_KEY}", "k"))
    assert "8:11: 'port': this should be a whole number" in told


@pytest.mark.parametrize("written", ["2024-11-20", "1:30", "=", "<<", "yes", "012_3:4"])
def test_a_text_needs_no_quotes_for_looking_like_what_yaml_1_2_has_not(written: str) -> None:
    text = GOOD.replace("Qwen/Qwen2.5-72B-Instruct", written).replace("${LAB_KEY}", "k")
    assert parse_config(text, "r.yaml", {}).file.models["big"].upstream_model == written


def test_a_sign_that_json_writes_in_two_halves_is_one() -> None:
    text = GOOD.replace("Qwen/Qwen2.5-72B-Instruct", '"\\ud83d\\ude00"').replace("${LAB_KEY}", "k")
    assert parse_config(text, "r.yaml", {}).file.models["big"].upstream_model == "\U0001f600"


@pytest.mark.parametrize("environ", [{}, {"LAB_KEY": ""}])
def test_a_default_stands_in_for_a_variable_that_is_not_set_or_empty(
    environ: dict[str, str],
) -> None:
    text = GOOD.replace("Qwen/Qwen2.5-72B-Instruct", "'${LAB_KEY:-m}'").replace("${LAB_KEY}", "k")
    assert parse_config(text, "r.yaml", environ).file.models["big"].upstream_model == "m"


def test_a_misspelt_key_is_placed_and_mended() -> None:
    text = GOOD.replace("${LAB_KEY}", "k").replace("engine: lab", "enigne: lab")
    said = problems(text)
    assert "routing.yaml:4:9: unknown key 'enigne'; did you mean 'engine'?" in said
    assert "is missing" not in said


def test_a_variable_that_is_not_set_is_placed() -> None:
    assert "routing.yaml:2:" in problems(GOOD)
    assert "LAB_KEY is not set" in problems(GOOD)


def test_a_second_key_is_refused() -> None:
    assert "routing.yaml:2:1: the key 'a' appears twice" in problems("a: 1\na: 2\n")


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ('"\\ud83d"', "2:9: this is not YAML: there is half of a surrogate pair in this text"),
        ("{{ NAME }}", "2:10: this is not YAML: a key is no mapping or list"),
        ("!!int ''", "2:9: this is not YAML: the value cannot be read as 'int'"),
        ("!!bool maybe", "2:9: this is not YAML: the value cannot be read as 'bool'"),
        ("a\x07b", "2:10: this is not readable YAML: the control character U+0007 stands here"),
    ],
)
def test_a_value_that_no_yaml_has_is_placed(value: str, where: str) -> None:
    assert f"routing.yaml:{where}" in problems(f"engines: {{}}\nmodels: {value}\n")


@pytest.mark.parametrize("number", [".nan", ".inf"])
@pytest.mark.parametrize("key", ["scores: {task: §}", "gateway: {queue_timeout_s: §}"])
def test_a_number_is_a_finite_one(key: str, number: str) -> None:
    told = problems(f"{GOOD}{key.replace('§', number)}\n".replace("${LAB_KEY}", "key"))
    assert told.startswith("routing.yaml:8:")
    assert "finite number" in told


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


def loaded(text: str, folder: Path) -> LoadedConfig:
    path = folder / "routing.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, {})


def test_the_demo_and_the_real_set_up_in_its_comments_load_without_a_warning(
    tmp_path: Path,
) -> None:
    demo = PACKAGED.read_text(encoding="utf-8")
    comments = demo.partition("# A real setup")[2].splitlines()[1:]
    real = "\n".join(line.removeprefix("#").removeprefix(" ") for line in comments)
    assert loaded(demo, tmp_path).warnings == ()
    assert loaded(real, tmp_path).warnings == ()
    assert "qwen2.5-72b" in loaded(real, tmp_path).file.models


def test_warnings_have_places_and_the_file_is_usable(tmp_path: Path) -> None:
    text = GOOD.replace("${LAB_KEY}", "k") + "  - {name: late, use: big}\n"
    config = loaded(text, tmp_path)
    (only,) = config.warnings
    assert (only.file, only.line, only.column) == (config.source, 8, 5)
    assert "the rule 'late' is never reached" in only.message


MODELS, ALIASES = st.sampled_from(["a", "b"]), st.sampled_from(["c", "d", "e", "auto:x", "a"])
NAMES = st.sampled_from(["a", "a", "b", "c", "d", "e", "auto", "auto:fast", "auto:night"])
RULE = st.fixed_dictionaries(
    {"use": st.lists(st.sampled_from(["a", "a", "b", "c"]), min_size=1, max_size=2)},
    optional={"when": st.fixed_dictionaries({"variant": st.sampled_from(["night", "fast"])})},
)
FILES = st.fixed_dictionaries(
    {
        "engines": st.just({"lab": {"kind": "remote", "url": "http://lab"}}),
        "models": st.dictionaries(
            MODELS,
            st.fixed_dictionaries(
                {"engine": st.just("lab")}, optional={"aliases": st.lists(ALIASES, max_size=1)}
            ),
            min_size=1,
        ),
        "aliases": st.dictionaries(ALIASES, NAMES, max_size=3),
        "routes": st.lists(RULE, max_size=2).map(
            lambda rules: [{"name": f"r{i}"} | rule for i, rule in enumerate(rules)]
        ),
    },
)


@settings(max_examples=300, deadline=None)
@given(FILES)
def test_what_loads_gives_every_name_a_meaning(tree: dict[str, Any]) -> None:
    try:
        file = parse_config(yaml.safe_dump(tree), "r.yaml", {}).file
    except ConfigError:
        return
    selector = Selector(file, {})
    assert set(file.aliases) <= set(selector.names)
    for name in selector.names:
        meaning = selector.meaning(name)
        assert meaning.model is None or meaning.model in file.models
        assert selector.choose(Asked(name, Endpoint.CHAT), None, {}).models
