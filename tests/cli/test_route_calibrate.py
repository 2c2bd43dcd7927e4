"""`weighbridge route calibrate`: the curve, the threshold, and what a log may say."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import main
from gateway.cli.difficulty_curve import (
    Judged,
    at_share,
    cheapest,
    curve,
    recovered,
    shown,
    uncertainty,
)
from tools.task_model.rows import read_corpus

GRADES = st.sampled_from([0.0, 0.25, 0.5, 1.0])
ROWS = st.lists(
    st.builds(Judged, st.sampled_from([0.1, 0.3, 0.5, 0.9]), GRADES, GRADES),
    min_size=1,
    max_size=30,
)
# Only the hard ones are too much for the weaker model.
TELLING = [Judged(d / 100, float(d < 70), 1.0) for d in range(100)]


def test_where_difficulty_tells_all_a_third_of_the_requests_close_the_gap() -> None:
    points = curve(TELLING, 10)
    assert (points[0].share, points[0].quality) == (0, 0.7)
    assert (points[-1].share, points[-1].quality) == (1, 1)
    enough = cheapest(points, lambda point: point.quality >= 1)
    assert (enough.threshold, enough.share) == (0.7, 0.3)
    assert enough.by_chance == pytest.approx(0.79)
    assert enough.cost == pytest.approx(0.3 + 0.7 / 10)
    worth = recovered(points)
    assert worth is not None
    assert worth > 0.8
    assert uncertainty(TELLING) < 0.1


def test_where_difficulty_tells_nothing_it_is_worth_chance() -> None:
    rows = [Judged(d / 100, float(d % 3 > 0), 1.0) for d in range(99)]
    assert recovered(curve(rows, 10)) == pytest.approx(0.5, abs=0.03)


def test_models_that_are_equally_good_have_no_gap() -> None:
    assert recovered(curve([Judged(0.5, 1, 1), Judged(0.2, 0, 0)], 10)) is None
    assert uncertainty([Judged(0.5, 1, 1)]) == 0.5


@given(ROWS)
def test_a_curve_goes_from_nobody_to_all_and_costs_ever_more(rows: list[Judged]) -> None:
    points = curve(rows, 4)
    shares = [point.share for point in points]
    assert (shares[0], shares[-1]) == (0, 1)
    assert shares == sorted(set(shares))
    assert [point.cost for point in points] == sorted(point.cost for point in points)
    assert points[-1].quality == pytest.approx(points[-1].by_chance)
    assert set(shown(points)) <= set(points)
    for share in (0, 0.4, 1):
        assert at_share(points, share).share <= share + 1e-6


@pytest.fixture
def log(tmp_path: Path) -> Path:
    easy = [{"text": f"Hello there, number {n}!", "verdict": True} for n in range(60)]
    long = "Prove that each of the following holds, and explain every step of it:\n" * 6
    hard = [{"text": f"{long} x^2 + {n} = 0", "verdict": n % 2 == 0} for n in range(40)]
    return written(tmp_path, [*easy, *hard])


def written(folder: Path, rows: list[Any]) -> Path:
    path = folder / "log.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    return path


def ran(log: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["route", "calibrate", str(log), *arguments])


def test_people_get_the_curve_its_worth_and_the_rule(log: Path) -> None:
    said = ran(log, "--weak", "qwen", "--strong", "big").stdout
    assert said.startswith("100 requests with a verdict\n")
    assert "better than chance" in said
    assert "40% of the requests, quality 1.000, 46% of the cost" in said
    assert "use: [big, qwen]}" in said
    assert "{name: hard, when: {difficulty: {min: 0." in said


def test_programs_get_the_same(log: Path) -> None:
    found = json.loads(ran(log, "--json", "--cost-ratio", "2").stdout)
    assert (found["requests"], found["share"], found["quality"]) == (100, 0.4, 1)
    assert found["cost"] == pytest.approx(0.7)
    assert found["better_than_chance"]
    assert found["curve"][0]["share"] == 0


def test_a_share_may_be_given_instead(log: Path) -> None:
    assert json.loads(ran(log, "--json", "--share", "0.1").stdout)["share"] <= 0.1
    nobody = ran(log, "--share", "0")
    assert "No request has to go to the stronger model" in nobody.stdout


def test_verdicts_may_be_given_by_the_models_names(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "Hi"}], "verdicts": {"a": 0.5, "b": 0.75}}
    ] * 30
    unjudged = [{"text": "Hi", "verdicts": {"c": True}}, {"text": "Hi"}]
    path = written(tmp_path, [*rows, *unjudged])
    found = json.loads(ran(path, "--weak", "a", "--strong", "b", "--json").stdout)
    assert found["requests"] == 30
    assert (found["curve"][0]["quality"], found["curve"][-1]["quality"]) == (0.5, 0.75)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "Hi", "verdict": 2}, "line 31: "),
        ({"text": "Hi", "verdict": "good"}, "line 31: "),
        ({"txt": "Hi", "verdict": True}, "line 31: There is nothing to weigh."),
    ],
)
def test_a_line_that_cannot_be_used_is_told_by_its_number(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    ended = ran(written(tmp_path, [{"text": "Hi", "verdict": True}] * 30 + [row]))
    assert ended.exit_code == 2
    assert f"log.jsonl: {said}" in ended.stderr


def test_a_few_verdicts_are_too_few(tmp_path: Path) -> None:
    ended = ran(written(tmp_path, [{"text": "Hi", "verdict": True}] * 29))
    assert ended.exit_code == 2
    assert "29 requests with a verdict are too few; 30 at least" in ended.stderr


def test_the_cost_is_by_the_models_active_parameters_where_they_are_known(tmp_path: Path) -> None:
    config = tmp_path / "routing.yaml"
    models = "{qwen2.5-7b: {engine: lab}, qwen2.5-72b: {engine: lab}}"
    lab = '{lab: {kind: remote, url: "http://127.0.0.1:1/v1"}}'
    config.write_text(f"engines: {lab}\nmodels: {models}\n", encoding="utf-8")
    log = written(tmp_path, [{"text": "Hi", "verdict": True}] * 30)
    names = ("--weak", "qwen2.5-7b", "--strong", "qwen2.5-72b", "--config", str(config))
    ended = ran(log, *names, "--json")
    found = json.loads(ended.stdout)
    assert found["curve"][0]["cost"] == pytest.approx(7.6 / 72.7, abs=0.005)
    assert not ended.stderr
    misspelt = ran(log, "--weak", "qwen2.5-7", "--config", str(config))
    assert misspelt.exit_code == 0
    assert "routing.yaml serves no 'qwen2.5-7'; did you mean 'qwen2.5-7b'?" in misspelt.stderr


PROMPTS = ("en-exam", "eu-school", "xx-worded")


def judged_prompts() -> list[dict[str, Any]]:
    """Return prompts of our corpus; the weaker model is said to fail at long sums and riddles."""
    rows = [row for source in read_corpus() if source.name in PROMPTS for row in source.rows[::3]]
    return [
        {"text": row.text, "verdict": row.task not in ("math", "reasoning") or len(row.text) < 60}
        for row in rows
    ]


def test_the_printed_rule_does_what_the_curve_promised(tmp_path: Path) -> None:
    rows = judged_prompts()
    log = written(tmp_path, rows)
    names = ("--weak", "small", "--strong", "big", "--keep", "0.8")
    promised = json.loads(ran(log, *names, "--json").stdout)
    assert promised["requests"] == len(rows) > 300
    assert promised["better_than_chance"]
    rule = ran(log, *names).stdout.splitlines()[-1]
    config = tmp_path / "routing.yaml"
    config.write_text(
        'engines: {lab: {kind: remote, url: "http://127.0.0.1:1/v1"}}\n'
        "models: {small: {engine: lab}, big: {engine: lab}}\n"
        f"routes:\n{rule}\n  - {{name: default, use: [small]}}\n",
        encoding="utf-8",
    )
    said = CliRunner().invoke(
        main, ["route", "--file", str(log), "--json", "--config", str(config)]
    )
    models = [json.loads(line)["model"] for line in said.stdout.splitlines()]
    assert models.count("big") / len(rows) == pytest.approx(promised["share"])
    good = sum(model == "big" or row["verdict"] for model, row in zip(models, rows, strict=True))
    assert good / len(rows) == pytest.approx(promised["quality"])
