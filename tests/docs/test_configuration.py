"""The configuration's page is current, names every key, and its examples are accepted."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from engines.kinds.section import Section
from gateway.config.loading import parse_config
from gateway.environment import VARIABLES, read_environment

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
AROUND = """\
engines:
  cpu: {kind: llamacpp}
  lab: {kind: remote, url: "http://lab/v1"}
models:
  qwen: {engine: cpu, weights: a.gguf}
  llama: {engine: cpu, weights: b.gguf}
  coder: {engine: lab}
"""


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/docs/configuration.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_page_is_current() -> None:
    ended = script("--check")
    assert (ended.returncode, ended.stderr) == (0, "")


def keys() -> Iterator[tuple[str, str, str]]:
    for section in Section.__subclasses__():
        for name, field in section.model_fields.items():
            yield section.__name__, field.alias or name, field.description or ""


@pytest.mark.parametrize(("section", "key", "description"), list(keys()))
def test_every_key_is_described_and_in_the_page(section: str, key: str, description: str) -> None:
    assert description, section
    assert re.search(rf"^\| `{key}` \|.*{re.escape(description[-20:])} \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_accepted(example: str) -> None:
    own, around = yaml.safe_load(example), yaml.safe_load(AROUND)
    whole = {"engines", "models"} <= set(own)
    for part in () if whole else around:
        own[part] = around[part] | own.get(part, {})
    parse_config(yaml.safe_dump(own), "docs/configuration.md", {})


def test_the_page_has_an_example_of_every_section() -> None:
    shown = {key for example in EXAMPLES for key in yaml.safe_load(example)}
    assert shown == {
        *("gateway", "engines", "models", "aliases", "routes"),
        *("scores", "sizes", "languages", "tasks", "mode", "observe", "residency"),
    }


class Watched(Mapping[str, str]):
    """An empty environment that remembers what was asked of it."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_the_table_of_variables_is_all_that_is_read() -> None:
    watched = Watched()
    read_environment(watched)
    assert watched.asked == set(VARIABLES)
    for name in VARIABLES:
        assert f"| `{name}` |" in PAGE


def test_a_stale_page_is_one_line_and_a_failure(tmp_path: Path) -> None:
    page = tmp_path / "configuration.md"
    for text in (None, PAGE + "more\n"):
        if text is not None:
            page.write_text(text, encoding="utf-8")
        ended = script("--check", "--page", str(page))
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
        assert "is stale; run: python tools/docs/configuration.py" in ended.stderr
    assert script("--page", str(page)).returncode == 0
    assert page.read_text(encoding="utf-8") == PAGE
