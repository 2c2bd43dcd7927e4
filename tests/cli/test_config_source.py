"""Which file a command means, and that the packaged one is the root's."""

from pathlib import Path

import pytest

from gateway.cli.config_source import PACKAGED, find_config
from gateway.config.loading import load_config, parse_config
from gateway.config.problems import ConfigError
from gateway.environment import Environment

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_packaged_file_is_the_root_s_byte_for_byte() -> None:
    assert PACKAGED.read_bytes() == (ROOT / "routing.yaml").read_bytes()


def test_the_packaged_file_loads_and_serves_the_three_toys() -> None:
    file = load_config(PACKAGED, {}).file
    assert [model.weights for model in file.models.values()] == [
        "demo:qwen",
        "demo:coder",
        "demo:llama",
    ]


def test_the_real_set_up_in_its_comments_loads_once_uncommented() -> None:
    """What people are told to put in place of the demo must work."""
    _, _, example = PACKAGED.read_text().partition("without the leading `# ` of each line.\n#\n")
    text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in example.splitlines())
    file = parse_config(text, "example.yaml", {}).file
    assert "qwen2.5-72b" in file.models
    assert len(file.routes) == 7


def test_an_option_comes_before_the_environment_and_that_before_the_folder(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml", "routing.yaml"):
        (tmp_path / name).touch()
    environment = Environment(config="b.yaml")
    assert find_config("a.yaml", environment, tmp_path).path == tmp_path / "a.yaml"
    assert find_config(None, environment, tmp_path).path == tmp_path / "b.yaml"
    here = find_config(None, Environment(), tmp_path)
    assert (here.path, here.packaged) == (tmp_path / "routing.yaml", False)


def test_with_nothing_else_it_is_the_packaged_demo_and_says_so(tmp_path: Path) -> None:
    source = find_config(None, Environment(), tmp_path)
    assert (source.path, source.packaged) == (PACKAGED, True)
    assert "packaged demo" in source.described


@pytest.mark.parametrize(
    ("option", "environment", "by"),
    [
        ("no.yaml", Environment(), "on the command line"),
        (None, Environment(config="no.yaml"), "by WEIGHBRIDGE_CONFIG"),
    ],
)
def test_a_named_file_that_is_missing_is_never_replaced_by_another(
    option: str | None, environment: Environment, by: str, tmp_path: Path
) -> None:
    (tmp_path / "routing.yaml").touch()
    with pytest.raises(ConfigError, match=by):
        find_config(option, environment, tmp_path)


def test_a_path_that_cannot_be_looked_at_is_a_problem_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot look at the file: File name too long"):
        find_config("x" * 300, Environment(), tmp_path)
