"""`weighbridge route diff`: which requests of a log would go elsewhere, and by which rule."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.route import route

OLD = """\
engines: {far: {kind: remote, url: "http://127.0.0.1:1/v1"}}
models: {coder: {engine: far}, llama: {engine: far}, qwen: {engine: far}}
routes:
  - {name: code, when: {task: code}, use: [coder, qwen]}
  - {name: default, use: [llama, qwen]}
"""
NEW = """\
engines: {far: {kind: remote, url: "http://127.0.0.1:1/v1"}}
models: {coder: {engine: far}, llama: {engine: far}, qwen: {engine: far, aliases: [gpt-4o]}}
routes:
  - {name: code, when: {task: code}, use: [coder, llama]}
  - {name: other tongue, when: {language: {not: [en]}}, use: qwen}
  - {name: default, use: [llama]}
"""
LOG = """\
{"text": "Write a Python function that adds two numbers."}
{"text": "Schreibe mir ein Gedicht über den Herbst."}
{"messages": [{"role": "user", "content": "¿Qué tiempo hace hoy en Madrid?"}], "stream": true}
{"messages": [{"role": "user", "content": "What is rain?"}], "model": "gpt-4o"}
{"messages": [{"role": "user", "content": "What is rain?"}], "model": "nobody"}
{"text": "What is rain?"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("old.yaml", OLD), ("new.yaml", NEW), ("log.jsonl", LOG)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def ran(folder: Path, *options: str, old: str = "old.yaml", new: str = "new.yaml") -> Result:
    files = [str(folder / name) for name in (old, new)]
    log = ["--log", str(folder / "log.jsonl")]
    return CliRunner().invoke(route, ["diff", *files, *log, *options])


def test_the_requests_that_move_are_listed_with_both_rules(folder: Path) -> None:
    result = ran(folder)
    assert result.exit_code == 0, result.output
    assert "3 of 6 requests move (50.0%)" in result.output
    assert "1 is refused by both files" in result.output
    assert "2  llama (default) -> qwen (other tongue)" in result.output
    assert "refused -> qwen (alias)" in result.output
    assert "not served here" in result.output
    assert "coder" not in result.output


def test_json_tells_the_line_the_features_and_both_ways(folder: Path) -> None:
    told = json.loads(ran(folder, "--json").output)
    assert (told["requests"], told["moved"], told["refused"]) == (6, 3, 1)
    assert [move["line"] for move in told["moves"]] == [2, 3, 4]
    assert told["moves"][0] == {
        "line": 2,
        "task": "writing",
        "language": "de",
        "from": {"model": "llama", "rule": "default", "error": None},
        "to": {"model": "qwen", "rule": "other tongue", "error": None},
    }


def test_the_log_may_be_the_standard_input(folder: Path) -> None:
    files = [str(folder / "old.yaml"), str(folder / "new.yaml")]
    result = CliRunner().invoke(route, ["diff", *files, "--log", "-"], input=LOG)
    assert result.output == ran(folder).output


def test_a_file_moves_nothing_from_itself(folder: Path) -> None:
    assert "0 of 6 requests move (0.0%)" in ran(folder, new="old.yaml").output


def test_an_empty_log_moves_nothing_and_is_told(folder: Path) -> None:
    (folder / "log.jsonl").write_text("\n", encoding="utf-8")
    result = ran(folder)
    assert result.exit_code == 1
    assert "0 of 0 requests move" in result.stdout
    assert result.stderr == "log.jsonl contains no request\n"


def test_lines_that_are_no_requests_are_told_by_their_numbers_and_count_nowhere(
    folder: Path,
) -> None:
    broken = '{"text": "broken\n' + '{"foo": 1}\n' * 6
    (folder / "log.jsonl").write_text(LOG + broken, encoding="utf-8")
    result = ran(folder)
    assert result.exit_code == 1
    assert "3 of 6 requests move (50.0%)" in result.stdout
    assert result.stderr.startswith("log.jsonl: line 7: The body is not valid JSON")
    assert result.stderr.endswith("and 2 more lines are not requests\n")
    told = json.loads(ran(folder, "--json").stdout)
    assert (told["requests"], told["refused"], len(told["unread"])) == (6, 1, 7)
    (folder / "log.jsonl").write_text("{\n" * 6, encoding="utf-8")
    assert "and 1 more line is not a request\n" in ran(folder).stderr


def test_a_broken_file_is_told_with_its_place(folder: Path) -> None:
    (folder / "new.yaml").write_text(NEW.replace("use: qwen", "use: qwn"), encoding="utf-8")
    result = ran(folder)
    assert result.exit_code == 2
    assert "new.yaml:5:" in result.output
    assert "did you mean 'qwen'?" in result.output
