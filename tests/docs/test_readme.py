"""The README holds: its commands, endpoints, links and examples are those of the code."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from gateway.api.generation import GENERATION
from gateway.api.pages import router
from gateway.cli import COMMANDS, main
from gateway.config.loading import parse_config

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
WORDS = [
    shlex.split(line.replace("\\\n", " "), comments=True)
    for language, block in BLOCKS
    if language == "sh"
    for line in block.replace("\\\n", " ").splitlines()
]


def blocks(language: str) -> list[str]:
    return [block for kind, block in BLOCKS if kind == language]


def test_every_command_is_named_in_the_readme() -> None:
    for name in COMMANDS:
        assert f"`weighbridge {name}" in README


@pytest.mark.parametrize("words", [w for w in WORDS if w[:1] == ["weighbridge"]], ids=" ".join)
def test_every_command_line_of_the_readme_can_be_parsed(words: list[str]) -> None:
    context = click.Context(main)
    command = main.get_command(context, words[1])
    assert command is not None
    command.make_context(words[1], words[2:])


def test_init_of_the_readme_writes_no_file_that_a_checkout_has() -> None:
    wanted = [words for words in WORDS if words[:2] == ["weighbridge", "init"]]
    assert wanted
    for words in wanted:
        assert words[2].endswith(".yaml")
        assert not (ROOT / words[2]).exists()


@pytest.mark.parametrize("words", [w for w in WORDS if w[:1] == ["make"]], ids=" ".join)
def test_every_make_target_of_the_readme_is_there(words: list[str]) -> None:
    assert re.search(rf"^{words[1]}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_endpoint_is_named_in_the_readme() -> None:
    paths = [row.path for row in GENERATION]
    paths += [str(getattr(route, "path", "")).replace(":path", "") for route in router.routes]
    assert len(paths) > 6
    for path in paths:
        assert re.search(rf"(?:GET|POST) {re.escape(path)}`", README), path


def test_every_link_of_the_readme_leads_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_python_of_the_readme_is_python() -> None:
    assert blocks("python")
    for block in blocks("python"):
        ast.parse(block)


def test_the_routing_files_of_the_readme_are_accepted() -> None:
    whole = [block for block in blocks("yaml") if block.startswith("engines:")]
    assert whole
    for block in whole:
        parse_config(block, "README.md", {})


def test_the_lines_to_add_fit_into_the_demo_file() -> None:
    demo = (ROOT / "routing.yaml").read_text(encoding="utf-8")
    parts = [block for block in blocks("yaml") if block.startswith("  ")]
    assert parts
    for part in parts:
        head, found, tail = demo.partition("\nmodels:")
        first, rest = tail.split("\n", 1)
        file = parse_config(f"{head}{found}{first}\n{part}{rest}", "README.md", {}).file
        assert "my-model" in file.models
