"""`weighbridge bench`: measures, and prints what it measured.

Owns: the commands' options, and the layout of what they print.
Must not: count (`gateway.cli.routing_scores` does).
"""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from engines.protocol.unreadable import UNREADABLE
from gateway.classify import Weigher
from gateway.cli.bench_overhead import overhead
from gateway.cli.config_source import find_config
from gateway.cli.json_lines import LINES_FILE, read_lines
from gateway.cli.routing_scores import Row, scores_of, unknown_labels, weigh_all
from gateway.config.loading import load_config
from gateway.config.problems import ConfigError
from gateway.environment import EnvironmentProblem, read_environment

_FIGURES = {
    "language_accuracy": "language of the prompt, right",
    "language_wrong": "  decided and wrong",
    "language_accuracy_short": "  of at most 20 characters, right",
    "language_wrong_short": "  of at most 20 characters, decided and wrong",
    "language_accuracy_embedded": "  beside text in another language, right",
    "answer_language_accuracy": "language of the answer, translations, right",
    "macro_f1": "task, macro-F1 of the likeliest",
    "macro_f1_decided": "  with undecided as a miss",
    "selective_accuracy": "  right where it is decided",
    "coverage": "  decided",
    "calibration_error": "  gap between confidence and accuracy",
}


@click.group(short_help="Measure routing accuracy, or what the gateway adds to a request.")
def bench() -> None:
    """Measure routing accuracy on your own data, or what the gateway adds to a request."""


bench.add_command(overhead)


@bench.command(short_help="Measure accuracy and latency of weighing on labelled prompts.")
@click.argument("file", type=LINES_FILE)
@click.option(
    "--config",
    "config_option",
    metavar="FILE",
    help="The routing file whose thresholds apply; default: WEIGHBRIDGE_CONFIG, ./routing.yaml, "
    "the packaged demo.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def routing(file: Path, config_option: str | None, *, as_json: bool) -> None:
    """Measure accuracy and latency of weighing on the labelled prompts of FILE.

    FILE (- is standard input) has one JSON object per line: `text`, and where known `task`,
    `language` (of the answer), `prompt_language`, `kind`, `history` (earlier user turns) and
    `has_tools`. A language left undecided is a miss, except where the right one is `und`.
    Labels that weighing never gives are misses too, and are reported.
    """
    try:
        source = find_config(config_option, read_environment(os.environ), Path())
        config = load_config(source.path, os.environ).file
        rows = list(_read(file))
    except (ConfigError, EnvironmentProblem) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except msgspec.DecodeError as error:
        click.echo(f"{file.name}: {error}", err=True)
        sys.exit(2)
    if not rows:
        click.echo(f"{file.name} contains no row", err=True)
        sys.exit(2)
    for told in unknown_labels(rows):
        click.echo(f"{file.name}: {told}", err=True)
    scores = scores_of(weigh_all(Weigher(config.sizes, config.languages, tasks=config.tasks), rows))
    click.echo(msgspec.json.encode(scores) if as_json else "\n".join(_table(scores)))


def _read(file: Path) -> Iterator[Row]:
    """Yield the rows.

    Raises:
        msgspec.DecodeError: a line is no such object; the message says which.
    """
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line, type=Row)
        except UNREADABLE as error:
            raise msgspec.DecodeError(f"line {number}: {error}") from None


def _table(scores: Mapping[str, Any]) -> Iterator[str]:
    yield f"{scores['rows']:,} prompts"
    for name, said in _FIGURES.items():
        yield f"  {said:<46} {_percent(scores[name])}"
    yield "\nMicroseconds a decision, by characters"
    for part in scores["latency"]:
        upto = f"to {part['chars_to']:,}" if part["chars_to"] else "longer"
        yield f"  {upto:<12} {part['rows']:>6,} rows  p50 {part['p50_us']}  p99 {part['p99_us']}"
    yield "\nLanguages, the worst first"
    ranked = sorted(scores["languages"].items(), key=lambda item: item[1]["accuracy"])
    for language, part in ranked:
        yield f"  {language:<8} {part['rows']:>6,} rows  {_percent(part['accuracy'])}"
    for subject in ("language", "task"):
        yield f"\n{subject.capitalize()}, if it had to be so likely"
        for part in scores[f"{subject}_curve"]:
            decided, right = _percent(part["coverage"]), _percent(part["accuracy"])
            yield f"  {part['confidence']:<8} {decided} decided, {right} of them right"
    yield "\nTasks: right -> classified as"
    for task, told in scores["confusion"].items():
        most = sorted(told.items(), key=lambda item: -item[1])
        yield f"  {task:<14} {', '.join(f'{name} {count}' for name, count in most)}"


def _percent(share: float | None) -> str:
    return "      -" if share is None else f"{share:7.2%}"
