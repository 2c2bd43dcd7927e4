"""`weighbridge plan`: what models take, which fit together, and what would help."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

_FILE = """
engines: {{cpu: {{kind: llamacpp, context: 2048, parallel: 2, {engine}}}}}
models:
  a: {{weights: "demo:llama", engine: cpu}}
  b: {{weights: "demo:coder", engine: cpu}}
{residency}
"""


def _plan(tmp_path: Path, engine: str = "", residency: str = "", *options: str) -> Result:
    path = tmp_path / "routing.yaml"
    path.write_text(_FILE.format(engine=engine, residency=residency), encoding="utf-8")
    return CliRunner().invoke(main, ["plan", "--config", str(path), *options])


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", str(tmp_path / "cache"))


def test_what_fits_is_said_to_fit(tmp_path: Path) -> None:
    result = _plan(tmp_path)
    assert result.exit_code == 0, result.output
    assert "All models fit at once." in result.output
    assert "all that this machine has" in result.output


def _too_little_for_both(tmp_path: Path) -> int:
    """Return a budget in which each model fits alone."""
    told = msgspec.json.decode(_plan(tmp_path, "", "", "--json").output)
    return sum(int(model["total_bytes"]) for model in told["models"]) - (1 << 20)


def test_models_that_exclude_each_other_are_named_with_what_would_help(tmp_path: Path) -> None:
    most = _too_little_for_both(tmp_path)
    result = _plan(tmp_path, residency=f"residency: {{memory: {most}}}")
    assert result.exit_code == 0, result.output
    assert "a and b exclude each other." in result.output
    assert "hint: all of them fit at once with prefix_cache_mib: 0" in result.output


def test_a_model_that_can_never_fit_fails_the_command(tmp_path: Path) -> None:
    result = _plan(tmp_path, residency="residency: {memory: 50MiB}")
    assert result.exit_code == 1
    assert "a can never fit." in result.output
    assert "hint: 'a' never fits: use a smaller quantisation" in result.output


def test_a_models_own_word_counts_for_more_than_its_header(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(
        "engines: {cpu: {kind: llamacpp}}\n"
        "models: {a: {weights: 'demo:llama', engine: cpu, memory: 3GiB, replicas: 2}}\n",
        encoding="utf-8",
    )
    result = CliRunner().invoke(main, ["plan", "--config", str(path)])
    assert "a x 2" in result.output
    assert "6.0 GiB" in result.output
    assert "the file" in result.output


def test_json_has_the_same_in_bytes(tmp_path: Path) -> None:
    most = _too_little_for_both(tmp_path)
    result = _plan(tmp_path, "", f"residency: {{memory: {most}}}", "--json")
    told: dict[str, Any] = msgspec.json.decode(result.output)
    assert told["budget_bytes"] == {"ram": most}
    assert told["exclude_each_other"] == [["a", "b"]]
    (first, _) = told["models"]
    assert first["total_bytes"] == sum(part["bytes"] for part in first["parts"])
    assert first["total_bytes"] == first["file_backed_bytes"] + first["anonymous_bytes"]


def test_weights_that_are_not_there_are_told_and_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(
        "engines: {cpu: {kind: llamacpp}}\nmodels: {a: {weights: gone.gguf, engine: cpu}}\n",
        encoding="utf-8",
    )
    result = CliRunner().invoke(main, ["plan", "--config", str(path)])
    assert result.exit_code == 0
    assert "unknown: there is no file 'gone.gguf'" in result.output
    assert "fit at once" not in result.output
