"""`weighbridge route`: the explanation, as people and as programs read it."""

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.route import route

CONFIG = """\
engines:
  far: {kind: remote, url: "http://127.0.0.1:1/v1"}
models:
  coder: {engine: far}
  llama: {engine: far, aliases: [gpt-4o-mini]}
  qwen: {engine: far}
routes:
  - {name: code, when: {task: code}, use: [coder, qwen]}
  - {name: other tongue, when: {language: {not: [en]}}, use: qwen}
  - {name: default, use: [llama, qwen]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "routing.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def ran(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(route, [*arguments, "--config", str(config)])


def test_a_table_shows_features_rules_and_the_choice(config: Path) -> None:
    result = ran(config, "Schreibe mir ein Gedicht über den Herbst.")
    assert result.exit_code == 0
    assert "task             writing" in result.output
    assert "language         de" in result.output
    assert re.search(r"latin script, \d+ words( and \d+ letters?)? are de", result.output)
    assert "code             no             task is writing, not code" in result.output
    assert "other tongue     yes" in result.output
    assert "Decided by other tongue: qwen" in result.output


def test_json_carries_the_same(config: Path) -> None:
    result = ran(config, "Write a Python function that adds two numbers.", "--json")
    answer = json.loads(result.output)
    assert (answer["rule"], answer["model"]) == ("code", "coder")
    assert answer["models"] == ["coder", "qwen"]
    assert [rule["matched"] for rule in answer["rules"]] == [True, False, True]


def test_a_named_model_tries_no_rule(config: Path) -> None:
    result = ran(config, "hola", "--model", "gpt-4o-mini")
    assert "none tried" in result.output
    assert "Decided by alias: llama" in result.output


def test_a_system_prompt_may_name_the_language(config: Path) -> None:
    result = ran(config, "What is rain?", "--system", "Always answer in French.", "--json")
    assert json.loads(result.output)["rule"] == "other tongue"


def test_an_unknown_model_is_one_line_and_a_failure(config: Path) -> None:
    result = ran(config, "hola", "--model", "lama")
    assert result.exit_code == 1
    assert "llama" in result.output
    assert "Traceback" not in result.output


def test_a_file_that_is_not_there_is_said_with_its_name(tmp_path: Path) -> None:
    result = ran(tmp_path / "none.yaml", "hola")
    assert result.exit_code == 2
    assert "none.yaml" in result.output


def test_json_tells_a_confidence_for_each_feature(config: Path) -> None:
    answer = json.loads(ran(config, "Hola, ¿cómo estás hoy?", "--json").output)
    for feature in ("task", "language", "prompt_language", "request_size", "difficulty"):
        assert 0 <= answer[f"{feature}_confidence"] <= 1
    assert answer["language_confidence"] > 0.5
    assert answer["asked"] == "auto"


LINES = """\
{"text": "Write a Python function that adds two numbers."}

{"text": "und in Rot?", "history": ["Bitte zeichne mir ein großes Haus mit Garten."]}
{"model": "llama", "messages": [{"role": "user", "content": "hola"}]}
{"input": "a river"}
{"text": "Weather in Lima?", "has_tools": true}
"""


def test_each_line_of_a_file_is_explained(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text(LINES, encoding="utf-8")
    result = ran(config, "--file", str(path), "--json")
    assert result.exit_code == 0, result.output
    told = [json.loads(line) for line in result.output.splitlines()]
    assert [one["rule"] for one in told] == ["code", "other tongue", "name", "default", "default"]
    assert told[1]["prompt_language"] == "de"
    assert told[3]["task"] == "embedding"
    assert told[4]["task"] == "tool_use"
    assert ran(config, "--file", str(path)).output.count("\n") == len(told)


RESPONSES = """\
{"input": [ {"role": "user", "content": "Write a Python function that adds two numbers."}]}
{"input": "Write a Python function that adds two numbers.", "instructions": "Be brief."}
{"input": ["a river", "a lake"]}
{"input": [[1, 2], [3]]}
"""


def test_a_body_of_the_responses_api_is_weighed_as_the_chat_that_it_is(
    config: Path, tmp_path: Path
) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text(RESPONSES, encoding="utf-8")
    told = [
        json.loads(line)
        for line in ran(config, "--file", str(path), "--json").output.split("\n")[:4]
    ]
    assert [one["task"] for one in told] == ["code", "code", "embedding", "embedding"]
    assert [one["rule"] for one in told[:2]] == ["code"] * 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not valid JSON"),
        ('{"input": [{"type": "item_reference"}]}', "type 'item_reference' are not supported"),
        ('{"words": "x"}', "nothing to weigh"),
        ('{"text": 3}', "'text' is not allowed"),
        ('{"text": "hola", "model": "nobody"}', "not served here"),
    ],
)
def test_a_line_that_is_no_request_is_told_and_the_others_are_explained(
    config: Path, tmp_path: Path, line: str, said: str
) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text(f'{line}\n{{"text": "hola"}}\n', encoding="utf-8")
    result = ran(config, "--file", str(path), "--json")
    first, second = map(json.loads, result.output.splitlines())
    assert result.exit_code == 1
    assert first["line"] == 1
    assert said in first["error"]
    assert second["model"] == "qwen"


def test_lines_may_come_from_the_standard_input(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text(LINES, encoding="utf-8-sig")
    arguments = ["--file", "-", "--config", str(config)]
    piped = CliRunner().invoke(route, arguments, input=path.read_bytes())
    assert piped.exit_code == 0
    assert piped.output == ran(config, "--file", str(path)).output


def test_a_file_without_a_request_is_told(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text("\n", encoding="utf-8")
    result = ran(config, "--file", str(path), "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "asked.jsonl contains no request\n"


def test_a_command_that_is_misspelt_is_told_the_nearest(config: Path) -> None:
    refused = CliRunner().invoke(route, ["dif", "a.yaml", "b.yaml"])
    assert refused.exit_code == 2
    assert "no command 'dif'; did you mean 'diff'?" in refused.output
    meant = CliRunner().invoke(route, ["--config", str(config), "--", "dif"])
    assert "Decided by" in meant.output


def test_a_text_and_a_file_are_not_explained_together(config: Path) -> None:
    refused = ran(config, "hola", "--file", str(config))
    assert refused.exit_code == 2
    assert "Usage: route [OPTIONS] [TEXT]" in refused.output
    assert ran(config).exit_code == 2
    ignored = ran(config, "--file", str(config), "--model", "llama")
    assert ignored.exit_code == 2
    assert "are for a TEXT" in ignored.output


def test_a_text_may_stand_behind_two_dashes(config: Path) -> None:
    result = CliRunner().invoke(route, ["--config", str(config), "--", "--help me please"])
    assert "Decided by" in result.output


def test_scores_are_shown_for_each_model_and_criterion(config: Path) -> None:
    config.write_text(
        CONFIG.replace("use: [llama, qwen]", "use: {any: [llama, qwen]}, shadow: {model: coder}"),
        encoding="utf-8",
    )
    lines = ran(config, "What is rain?").output.splitlines()
    head = next(line.split() for line in lines if "language" in line and "cache" in line)
    assert head == ["total", "task", "language", "size", "load", "loaded", "cache"]
    row = next(line.split() for line in lines if line.startswith("  llama "))
    assert [float(cell) >= 0 for cell in row[1:]] == [True] * 7
    assert "A copy goes to coder, whose answer is discarded" in lines
    told = json.loads(ran(config, "What is rain?", "--json").output)
    assert [score["model"] for score in told["scores"]] == told["models"]
    assert told["shadow"] == "coder"


def test_a_user_and_headers_count_as_in_a_request(config: Path) -> None:
    rules = """\
  - {name: red, when: {header: {x-team: red}}, use: coder}
  - {name: shares, use: {split: {llama: 1, qwen: 1}}}
"""
    config.write_text(CONFIG.partition("  - {")[0] + rules, encoding="utf-8")
    told = json.loads(ran(config, "hola", "--header", "X-Team: red", "--json").output)
    assert told["rule"] == "red"
    firsts = {
        json.loads(ran(config, "hola", "--user", str(n), "--json").output)["model"]
        for n in range(8)
    }
    assert firsts == {"llama", "qwen"}
    bounds = ("--header", "x-weighbridge-max-parameters: 1B")
    assert "its number of parameters is unknown" in ran(config, "hola", *bounds).output
    assert ran(config, "hola", "--header", "red").exit_code == 2


def test_what_is_no_utf8_is_explained_wherever_it_stands(config: Path) -> None:
    odd = os.fsdecode(b"gr\xfc\xdf dich")
    given = ("--system", odd, "--user", odd, "--header", f"x-{odd}: {odd}")
    assert "Decided by" in ran(config, odd, *given, "--no-count").output
    refused = ran(config, "hola", "--model", odd)
    assert (refused.exit_code, type(refused.exception)) == (1, SystemExit)


def test_the_turns_of_a_history_may_be_messages(config: Path, tmp_path: Path) -> None:
    history = [
        {"role": "user", "content": "Bitte zeichne mir ein großes Haus mit Garten."},
        {"role": "assistant", "content": "Hier ist es."},
    ]
    path = tmp_path / "asked.jsonl"
    path.write_text(json.dumps({"text": "ok", "history": history}), encoding="utf-8")
    told = json.loads(ran(config, "--file", str(path), "--json").output)
    assert told["prompt_language"] == "de"


def test_help_tells_the_commands_and_what_goes_with_a_text() -> None:
    told = CliRunner().invoke(route, ["--help"]).output
    for word in ("diff ", "report ", "--file FILE", "--header NAME:VALUE"):
        assert word in told
    assert "TEXT ..." not in told
    assert CliRunner().invoke(route, ["--", "diff", "--help"]).exit_code == 2


def test_a_text_that_is_a_commands_name_stands_behind_two_dashes(config: Path) -> None:
    result = CliRunner().invoke(route, ["--config", str(config), "--", "report"])
    assert "Decided by" in result.output
    assert "Decided by" in CliRunner().invoke(route, ["--", "report"]).output
