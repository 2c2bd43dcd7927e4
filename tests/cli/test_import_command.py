"""`weighbridge import`: from another tool's file to one that `check` accepts."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.config.loading import load_config

LITELLM = """
model_list:
  - model_name: big
    litellm_params: {model: hosted_vllm/big, api_base: "http://gpu:8000/v1", rpm: 5}
"""
LIST = """NAME                ID              SIZE      MODIFIED
qwen2.5-coder:7b    2b0496514337    4.7 GB    5 weeks ago
llama3.2:latest     a80c4f17acd5    2.0 GB    3 weeks ago
"""
TAGS = json.dumps(
    {"models": [{"name": "qwen2.5-coder:7b", "size": 4}, {"name": "llama3.2:latest"}]}
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["import", *words], input=stdin)


def test_a_file_is_written_and_what_is_left_out_is_told(here: Path) -> None:
    (here / "config.yaml").write_text(LITELLM)
    result = run("config.yaml")
    assert result.exit_code == 0, result.output
    assert "config.yaml:4:" in result.stderr
    assert "rpm" in result.stderr
    assert list(load_config(here / "routing.yaml", {}).file.models) == ["big"]
    assert "weighbridge check" in result.stdout


@pytest.mark.parametrize("text", [LIST, TAGS])
def test_ollamas_models_become_a_remote_engine_with_rules(here: Path, text: str) -> None:
    result = run("-", "--ollama-url", "http://box:11434/v1", stdin=text)
    assert result.exit_code == 0, result.output
    file = load_config(here / "routing.yaml", {}).file
    assert {model.upstream_model for model in file.models.values()} == {
        "qwen2.5-coder:7b",
        "llama3.2:latest",
    }
    assert [rule.name for rule in file.routes] == ["code", "default"]
    assert getattr(file.engines["box"], "url", None) == "http://box:11434/v1"


def test_a_file_that_is_there_is_not_overwritten(here: Path) -> None:
    (here / "config.yaml").write_text(LITELLM)
    (here / "routing.yaml").write_text("mine")
    assert run("config.yaml").exit_code == 2
    assert (here / "routing.yaml").read_text() == "mine"
    assert run("config.yaml", "--force").exit_code == 0
    assert (here / "routing.yaml").read_text() != "mine"


def test_the_output_alone_goes_to_stdout(here: Path) -> None:
    (here / "config.yaml").write_text(LITELLM)
    result = run("config.yaml", "--output", "-")
    assert result.stdout.startswith("# What Weighbridge serves")
    assert not (here / "routing.yaml").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hello: world", "name the tool with --from"),
        ("a: [", "not YAML"),
        ("model_list: []", "names no model"),
        (f'{{"models": {"[" * 100_000}', "not readable YAML"),
        ("", "name the tool with --from"),
    ],
)
def test_what_is_no_such_file_is_refused_in_words(here: Path, text: str, told: str) -> None:
    (here / "config.yaml").write_text(text)
    result = run("config.yaml")
    assert result.exit_code == 1
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert not (here / "routing.yaml").exists()


def test_a_file_that_is_not_there_is_one_line() -> None:
    result = run("nowhere.yaml")
    assert result.exit_code == 2
    assert result.stderr == "nowhere.yaml cannot be read: No such file or directory\n"
