"""`weighbridge route report`: shares, latencies and tokens of what rules would move."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.route import route
from gateway.cli.route_report import report_of
from gateway.observe.journal import Observed


def row(**changes: Any) -> Observed:
    values: dict[str, Any] = {
        "at_s": 1_790_000_000.0,
        "endpoint": "chat",
        "asked": "gpt-4o",
        "model": "big",
        "would": "big",
        "rule": "default",
        "task": "general",
        "language": "en",
        "request_size": "small",
        "difficulty": 0.5,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "duration_s": 2.0,
        "first_token_s": None,
    }
    return Observed(**{**values, **changes})


ROWS = [
    row(rule="code", would="coder", first_token_s=0.5),
    row(rule="code", would="coder", duration_s=4.0, prompt_tokens=90),
    row(rule="code", model="coder", would="coder", duration_s=1.0),
    row(),
    row(rule=None, would=None, at_s=1_790_100_000.0),
]


def written(path: Path, rows: list[Observed]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in rows))


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(route, ["report", *arguments])


def test_each_rule_tells_whom_it_would_move_and_what_that_costs_and_gains() -> None:
    found = report_of(ROWS)
    assert (found.requests, found.moved) == (5, 2)
    code = found.rules[0]
    assert (code.rule, code.requests, code.share, code.moved) == ("code", 3, 0.6, 2)
    moved, stays = code.groups
    assert (moved.source, moved.target, moved.share) == ("big", "coder", 0.4)
    assert (moved.prompt_tokens, moved.completion_tokens) == (100, 10)
    assert (moved.here.p50_s, moved.here.p95_s, moved.here.first_token_p50_s) == (3.0, 4.0, 0.5)
    assert moved.there is not None
    assert moved.there.p50_s == 1.0
    assert (stays.moves, stays.there) == (False, None)


def test_the_table_and_the_json_read_the_file_that_is_full_too(tmp_path: Path) -> None:
    path = tmp_path / "seen.jsonl"
    written(path, ROWS[3:])
    written(tmp_path / "seen.jsonl.1", ROWS[:3])
    with path.open("ab") as file:
        file.write(b'{"at_s": 1, "cut of')
    result = ran(str(path))
    assert result.exit_code == 0, result.output
    assert "5 requests to named models, 2026-09-21 to 2026-09-22; 40.0% would move" in result.output
    assert "code: 3 requests, 2 would move" in result.output
    line = next(line for line in result.output.splitlines() if "big -> coder" in line)
    assert line.split()[3:] == ["40.0%", "2", "100", "10", "3.00", "4.00", "0.50", "1.00"]
    assert "big stays" in result.output
    assert json.loads(ran(str(path), "--json").output)["rules"][0]["groups"][0]["from"] == "big"


def test_the_routing_file_says_where_it_is(tmp_path: Path) -> None:
    config = tmp_path / "routing.yaml"
    config.write_text(
        "engines: {e: {kind: remote, url: 'http://127.0.0.1:1/v1'}}\nmodels: {big: {engine: e}}\n"
        "observe: {file: seen.jsonl}\n",
        encoding="utf-8",
    )
    written(tmp_path / "seen.jsonl", ROWS)
    assert "5 requests" in ran("--config", str(config)).output
    assert ran("--config", str(tmp_path / "none.yaml")).exit_code == 2


def test_nothing_observed_is_said_with_how_it_comes(tmp_path: Path) -> None:
    result = ran(str(tmp_path / "none.jsonl"))
    assert result.exit_code == 1
    assert "mode: observe" in result.output
    assert ran(str(tmp_path)).exit_code == 2
    written(tmp_path / "empty.jsonl", [])
    assert "Nothing was observed yet" in ran(str(tmp_path / "empty.jsonl")).output


def test_a_log_of_requests_is_no_observation_and_is_not_taken_for_an_empty_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"text": "hello"}\n{"model": "\xff"}\n')
    result = ran(str(tmp_path / "log.jsonl"))
    assert result.exit_code == 1
    assert "No line of" in result.output
    assert "route diff" in result.output


MODELS = st.sampled_from(["a", "b"])
OBSERVED = st.builds(
    row,
    model=MODELS,
    would=MODELS | st.none(),
    rule=st.sampled_from(["r", "s"]) | st.none(),
    duration_s=st.floats(0, 1e4),
    first_token_s=st.none() | st.floats(0, 1e3),
)


@given(st.lists(OBSERVED, max_size=20))
def test_every_request_is_counted_once(rows: list[Observed]) -> None:
    found = report_of(rows)
    groups = [group for rule in found.rules for group in rule.groups]
    assert sum(group.requests for group in groups) == found.requests == len(rows)
    assert found.moved == sum(one.would not in (None, one.model) for one in rows)
    assert sum(rule.share for rule in found.rules) == pytest.approx(1 if rows else 0, abs=0.001)


def test_a_file_that_cannot_be_looked_at_is_one_line() -> None:
    result = ran("x" * 300)
    assert result.exit_code == 1
    assert result.stderr.endswith("cannot be read: File name too long\n")
