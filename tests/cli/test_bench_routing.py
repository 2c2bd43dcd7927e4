"""`weighbridge bench routing`: the figures, and what is said of a file that cannot be read."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli.routing_scores import Row, scores_of

ROWS = [
    {"text": "Why is the sky blue?", "task": "general", "language": "en", "prompt_language": "en"},
    {"text": "12*7", "task": "math", "prompt_language": "und"},
    {"text": "danke dir", "task": "general", "prompt_language": "fr"},
    {
        "text": "Übersetze ins Englische: Der Hund bellt",
        "task": "translation",
        "language": "en",
        "prompt_language": "de",
        "kind": "embedded-doc",
    },
    {"text": "lorem", "task": "writing", "history": ["Écris un poème"], "has_tools": True},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(row) for row in ROWS) + b"\n\n")
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", "routing", *arguments])


def test_the_figures_are_one_object(file: Path) -> None:
    scores = msgspec.json.decode(run(str(file), "--json").stdout)
    assert scores["rows"] == 5
    assert scores["language_accuracy"] == 0.75  # danke is no French
    assert scores["language_wrong"] == 0.25
    assert scores["language_accuracy_embedded"] == 1
    assert scores["answer_language_accuracy"] == 1
    assert scores["coverage"] == 1
    assert scores["selective_accuracy"] == 0.8  # the last row's tools say tool_use
    assert scores["macro_f1"] == pytest.approx(0.75)
    assert 0 < scores["p50_us"] <= scores["p99_us"]
    assert scores["languages"]["fr"] == {"rows": 1, "accuracy": 0}
    assert scores["confusion"]["writing"] == {"tool_use": 1}


def test_the_table_says_the_same_to_people(file: Path) -> None:
    said = run(str(file)).stdout
    assert said.startswith("5 prompts\n")
    assert "language of the prompt, right                   75.00%" in said
    assert "Languages, the worst first\n  fr " in said


def test_rows_may_come_from_the_standard_input_and_from_an_editor_that_marks_its_files(
    file: Path,
) -> None:
    marked = b"\xef\xbb\xbf" + file.read_bytes()
    ended = CliRunner().invoke(main, ["bench", "routing", "-", "--json"], input=marked)
    assert msgspec.json.decode(ended.stdout)["rows"] == 5


def test_what_a_file_does_not_tell_is_no_figure() -> None:
    scores = scores_of([])
    assert scores["language_accuracy"] is None
    assert scores["macro_f1"] is None
    assert scores["p50_us"] is None
    assert Row("x").request().tools is None


def test_a_line_that_is_no_row_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "x"}\n{"txt": 1}\n')
    ended = run(str(path))
    assert ended.exit_code == 2
    assert ended.stderr.startswith("rows.jsonl: line 2: ")


def test_a_line_that_is_no_utf8_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "x"}\n{"text": "\xff"}\n')
    ended = run(str(path))
    assert ended.exit_code == 2
    assert ended.stderr.startswith("rows.jsonl: line 2: 'utf-8' codec")


def test_labels_that_weighing_never_gives_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {"text": "Hi", "task": "coding", "prompt_language": "english"},
        {"text": "Hi", "task": "general", "prompt_language": "und"},
        {"text": "Ho", "task": "coding", "language": "xx"},
    ]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    ended = run(str(path), "--json")
    assert ended.exit_code == 0
    assert ended.stderr.splitlines() == [
        "rows.jsonl: 2 rows have the task 'coding', which weighing never assigns; "
        "did you mean 'code'?",
        "rows.jsonl: 1 row has the language 'xx', which weighing never assigns",
        "rows.jsonl: 1 row has the prompt_language 'english', which weighing never assigns; "
        "did you mean 'en'?",
    ]


def test_a_file_without_rows_is_no_measurement(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n")
    ended = run(str(path), "--json")
    assert ended.exit_code == 2
    assert "no row" in ended.stderr
