"""What a `weights:` value means, and the words for one that means nothing."""

from pathlib import Path

import pytest

from engines.demo import DEMO_MODELS
from engines.weights import WeightsProblem, resolve


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "toy.gguf").write_bytes(b"GGUF")
    return tmp_path


def why(weights: str, base: Path) -> str:
    with pytest.raises(WeightsProblem) as caught:
        resolve(weights, base)
    assert str(base) not in str(caught.value).replace(weights or "\0", "")
    return str(caught.value)


@pytest.mark.parametrize("name", DEMO_MODELS)
def test_a_demo_name_is_a_file_of_the_package(name: str, base: Path) -> None:
    assert resolve(f"demo:{name}", base).name == f"{name}.gguf"


@pytest.mark.parametrize(
    ("weights", "meant"), [("demo:qwem", "demo:qwen"), ("demo:lama", "demo:llama")]
)
def test_a_misspelt_demo_name_gets_a_suggestion(weights: str, meant: str, base: Path) -> None:
    assert f"Did you mean {meant}?" in why(weights, base)


@pytest.mark.parametrize("weights", ["demo:", "demo:gpt-5", "demo:../../etc/passwd"])
def test_an_unknown_demo_name_gets_the_list(weights: str, base: Path) -> None:
    assert "There are demo:qwen, demo:coder, demo:llama." in why(weights, base)


@pytest.mark.parametrize(
    "weights", ["models/toy.gguf", "./models/toy.gguf", "models/../models/toy.gguf"]
)
def test_relative_paths_start_at_the_base(weights: str, base: Path) -> None:
    assert resolve(weights, base).samefile(base / "models" / "toy.gguf")


def test_absolute_paths_and_the_home_are_taken_as_they_are(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = base / "models" / "toy.gguf"
    monkeypatch.setenv("HOME", str(base))
    assert resolve(str(path), Path("/nowhere")) == path
    assert resolve("~/models/toy.gguf", Path("/nowhere")) == path


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("", "no weights are given"),
        ("models", "is a folder"),
        ("./models", "is a folder"),
        ("models/none.gguf", "there is no file"),
        ("./none", "there is no file"),
        ("../other/none", "there is no file"),
        ("/none/none.gguf", "there is no file"),
        ("Qwen/Qwen2.5-7B-Instruct-GGUF", "name on a model hub"),
        ("Qwen/Qwen2.5-7B-Instruct-GGUF:Q4_K_M", "name on a model hub"),
        ("~nobody-of-this-name/x.gguf", "there is no user"),
        ("x" * 5_000 + ".gguf", "cannot be looked at"),
        ("nul\0.gguf", "there is no file"),
    ],
)
def test_what_names_no_file_is_said_in_one_line(weights: str, words: str, base: Path) -> None:
    message = why(weights, base)
    assert words in message
    assert "\n" not in message
