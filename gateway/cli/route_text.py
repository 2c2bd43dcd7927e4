"""`weighbridge route "TEXT"` and `--file`: explains, without a gateway, where requests would go.

Owns: the options, and the explanation's layout as a table.
Must not: decide, or know what an explanation holds (`gateway.explanation` does).
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from engines.protocol.errors import ApiError
from gateway.cli.config_source import find_config
from gateway.cli.engine_counter import EngineCounter
from gateway.cli.json_lines import LINES_FILE, read_lines, tell_unread
from gateway.config.loading import LoadedConfig, load_config
from gateway.config.names import all_aliases
from gateway.config.problems import ConfigError
from gateway.config.schema import RoutingFile
from gateway.deciding import decider_of
from gateway.domain import Endpoint, ModelScore
from gateway.environment import EnvironmentProblem, read_environment
from gateway.errors import ModelNotFound
from gateway.explanation import Explainer, Explanation, Prompt, read_request
from gateway.known import gather_facts
from gateway.selection import Selector

_FEATURES = ("task", "prompt_language", "language", "request_size", "difficulty")


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a file: its number, and its way or what is wrong with it.

    `unreadable`: it is no request at all; else nobody can serve it.
    """

    number: int
    explanation: Explanation | None
    error: str = ""
    unreadable: bool = False

    def as_json(self) -> bytes:
        """Return the line as one JSON object."""
        if self.explanation is None:
            return msgspec.json.encode({"line": self.number, "error": self.error})
        return msgspec.json.encode(self.explanation.brief())


def explainer_of(config: LoadedConfig) -> Explainer:
    """Return what explains by a configuration; every model counts as up."""
    file = config.file
    facts = gather_facts(config)
    selector = Selector(file, facts)
    return Explainer(selector, decider_of(file, facts, selector))


def explain_lines(explainer: Explainer, lines: Iterable[bytes]) -> Iterator[Line]:
    """Explain a request on each line that is not empty."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            asked = read_request(line)
        except ApiError as error:
            yield Line(number, None, error.message, unreadable=True)
            continue
        try:
            yield Line(number, explainer.explain(*asked))
        except ApiError as error:
            yield Line(number, None, error.message)


class _Context(click.Context):
    """Calls the command what people type: `weighbridge route`, without the row's own name."""

    @property
    def command_path(self) -> str:
        """Return the words before the options."""
        return super().command_path if self.parent is None else self.parent.command_path


class _TextCommand(click.Command):
    context_class = _Context


@click.command(
    cls=_TextCommand,
    name="route",
    short_help="Explain where a request with TEXT would go, and why.",
)
@click.argument("text", required=False)
@click.option(
    "--config",
    "config_option",
    metavar="FILE",
    help="The routing file; default: WEIGHBRIDGE_CONFIG, ./routing.yaml, the packaged demo.",
)
@click.option("--model", help="The model that the client names; default: auto.")
@click.option("--system", help="A system prompt before the text.")
@click.option("--user", help="The user, as in the body's `user`.")
@click.option(
    "--header", "headers", multiple=True, metavar="NAME:VALUE", help="A request header; repeatable."
)
@click.option(
    "--file",
    "path",
    type=LINES_FILE,
    help="Explain each line of a file instead (- is standard input): an object with `text` and "
    "optionally `history` and `has_tools`, or a whole request body.",
)
@click.option(
    "--no-count", is_flag=True, help="Estimate the tokens of TEXT; do not ask the engine for them."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object (with --file, one per line)."
)
def route_text(
    text: str | None,
    *,
    config_option: str | None,
    model: str | None,
    system: str | None,
    user: str | None,
    headers: tuple[str, ...],
    path: Path | None,
    no_count: bool,
    as_json: bool,
) -> None:
    """Explain where a request with TEXT would go, and why, without sending it.

    The chosen model's engine counts the tokens of TEXT, where it can be reached.
    """
    if (text is None) == (path is None):
        raise click.UsageError("Give either a TEXT or a --file.")
    if path is not None and (headers or any(one is not None for one in (model, system, user))):
        raise click.UsageError("--model, --system, --user and --header are for a TEXT.")
    try:
        source = find_config(config_option, read_environment(os.environ), Path())
        config = load_config(source.path, os.environ)
        explainer = explainer_of(config)
        if path is not None:
            _tell_file(explainer, path, as_json=as_json)
            return
        request = Prompt(
            _said(text) or "", system=_said(system), model=_said(model), user=_said(user)
        ).request()
        count = None if no_count else EngineCounter(config)
        explanation = explainer.explain(
            Endpoint.CHAT, request, headers=_headers(headers), count=count
        )
    except (ConfigError, EnvironmentProblem) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except ModelNotFound as error:
        # A client would ask the gateway what there is; here the file tells.
        click.echo(f"{error.what} {source.path.name} serves {_names(config.file)}.", err=True)
        sys.exit(1)
    except ApiError as error:
        click.echo(error.message, err=True)
        sys.exit(1)
    if as_json:
        click.echo(msgspec.json.encode(explanation.whole()))
    else:
        click.echo("\n".join(_table(explanation)))


def _said(argument: str | None) -> str | None:
    """Return an argument as it could be sent: what is no UTF-8 in it comes as surrogates."""
    return None if argument is None else os.fsencode(argument).decode("utf-8", "replace")


def _headers(given: tuple[str, ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Return headers as a server hands them on.

    Raises:
        click.UsageError: one has no name.
    """
    pairs = [header.partition(":") for header in given]
    if not all(name.strip() and colon for name, colon, _ in pairs):
        raise click.UsageError("A --header is NAME:VALUE.")
    return tuple((os.fsencode(n.strip().lower()), os.fsencode(v.strip())) for n, _, v in pairs)


def _tell_file(explainer: Explainer, path: Path, *, as_json: bool) -> None:
    """Print a line for each request; the exit status is 1 where one, or none, is explained."""
    told, failed = 0, False
    for told, line in enumerate(explain_lines(explainer, read_lines(path)), start=1):  # noqa: B007
        failed = failed or line.explanation is None
        click.echo(line.as_json() if as_json else _row_of(line))
    if not told:
        tell_unread(path, {}, told)
    if failed or not told:
        sys.exit(1)


def _row_of(line: Line) -> str:
    told = line.explanation
    if told is None:
        return f"{line.number:>6}  {line.error}"
    weighed, choice = told.weighed, told.choice
    features = (weighed.task, weighed.language, weighed.request_size, f"{weighed.difficulty:.2f}")
    words = "  ".join(f"{word:<13}" for word in features)
    return f"{line.number:>6}  {words}  {choice.rule:<20}  {choice.models[0]}"


def _table(explanation: Explanation) -> Iterator[str]:
    """Yield the explanation for people, a line each."""
    weighed, choice = explanation.weighed, explanation.choice
    reasons = {reason.partition(" is ")[0]: reason for reason in weighed.reasons}
    yield "What the request is, with confidence"
    for feature in _FEATURES:
        sure = f"{getattr(weighed, f'{feature}_confidence'):.2f}"
        why = reasons.get(feature, "").partition(": ")[2]
        yield _row(feature, str(getattr(weighed, feature)), f"{sure}  {why}")
    yield "\nRules, first match wins"
    for verdict in explanation.verdicts:
        yield _row(verdict.rule, "yes" if verdict.matched else "no", verdict.reason)
    if not explanation.verdicts:
        yield "  none tried"
    yield from _scores(choice.scores)
    yield f"\nDecided by {choice.rule}: {', '.join(choice.models)}"
    yield from (f"  - {reason}" for reason in choice.reasons)
    if choice.shadow is not None:
        yield f"A copy goes to {choice.shadow}, whose answer is discarded"


def _scores(scores: Sequence[ModelScore]) -> Iterator[str]:
    if not scores:
        return
    width = max(16, *(len(score.model) for score in scores))
    names = ("total", *(name for name, _ in scores[0].parts))
    yield "\nScores, 0 to 1"
    yield f"  {'':<{width}}" + "".join(f" {name:>8}" for name in names)
    for score in scores:
        parts = (score.total, *(value for _, value in score.parts))
        yield f"  {score.model:<{width}}" + "".join(f" {part:>8.2f}" for part in parts)


def _names(file: RoutingFile) -> str:
    return ", ".join([*file.models, *all_aliases(file), *(["auto"] if file.routes else [])])


def _row(name: str, value: str, reason: str) -> str:
    return f"  {name:<16} {value:<14} {reason}".rstrip()
