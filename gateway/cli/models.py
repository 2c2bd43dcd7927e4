"""`weighbridge models`: what a running gateway serves, what is here, what the catalogue knows.

Owns: the question to the gateway, the tables and their JSON.
Must not: know a fact about a model; the catalogue and the gateway do.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

import click
import httpx
import msgspec

from engines.families import load_catalogue
from engines.protocol.unreadable import UNREADABLE
from engines.weights.pulled import pulled_in
from engines.weights.resolve import this_store
from gateway.cli.address import url_by
from gateway.cli.config_source import readable_config
from gateway.cli.models_catalogue import (
    CATALOGUE_HEAD,
    entry_cells,
    entry_dict,
    meets,
    short_count,
    tokens,
)
from gateway.cli.models_pulled import HEAD as PULLED_HEAD
from gateway.cli.models_pulled import cells as pulled_cells
from gateway.cli.models_pulled import rows_of, served_by
from gateway.config.loading import LoadedConfig
from gateway.environment import EnvironmentProblem, read_environment

_TIMEOUT_S = 10.0
_SERVED_HEAD = (
    "name",
    "state",
    "engine",
    "replicas",
    "family",
    "parameters",
    "context",
    "licence",
    "aliases",
)

# Rows as JSON has them, and as a table: its head and its lines.
_Part: TypeAlias = tuple[list[dict[str, Any]], tuple[str, ...], list[tuple[str, ...]]]


class _Unanswered(Exception):
    """The gateway gave no list of models; the message says why and what to do."""


@click.command(short_help="Show what is served, what was pulled, or the catalogue.")
@click.argument("words", nargs=-1)
@click.option("--pulled", is_flag=True, help="Show only the weights that are on this machine.")
@click.option("--catalogue", is_flag=True, help="Show every model of the catalogue.")
@click.option(
    "--url",
    help="Ask this gateway, and show only what it serves; default: where the routing file says.",
)
@click.option(
    "--config",
    "config_option",
    metavar="FILE",
    help="The routing file; default: WEIGHBRIDGE_CONFIG, ./routing.yaml, the packaged demo.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def models(
    words: tuple[str, ...],
    url: str | None,
    config_option: str | None,
    *,
    pulled: bool,
    catalogue: bool,
    as_json: bool,
) -> None:
    """Show what a running gateway serves, and the weights on this machine; WORDS filter the rows.

    The key is taken from WEIGHBRIDGE_API_KEY or WEIGHBRIDGE_API_KEY_FILE.
    """
    if catalogue + pulled + (url is not None) > 1:
        raise click.UsageError("Give one of --pulled, --catalogue and --url.")
    if catalogue:
        entries = [entry for entry in load_catalogue().entries if meets(entry, words)]
        rows = [entry_dict(entry) for entry in entries]
        _print([(rows, CATALOGUE_HEAD, [entry_cells(e) for e in entries])], words, as_json)
        return
    parts: list[_Part] = []
    config = None if url is not None else readable_config(config_option)
    if not pulled:
        served = _served_rows(url, url or url_by(config), words)
        parts.append((served, _SERVED_HEAD, [_served_cells(row) for row in served]))
    if url is None:
        here = [row for row in _pulled_rows(config) if _pulled_meets(row, words)]
        parts.append((here, PULLED_HEAD, [pulled_cells(row) for row in here]))
    _print(parts, words, as_json)


def _print(parts: Sequence[_Part], words: Sequence[str], as_json: bool) -> None:
    told = [part for part in parts if part[0]]
    if as_json:
        click.echo(msgspec.json.encode([row for rows, _, _ in parts for row in rows]))
    elif not told:
        click.echo("no model matches these words" if words else "no models", err=True)
    else:
        click.echo("\n\n".join(aligned([head, *lines]) for _, head, lines in told))


def _pulled_rows(config: LoadedConfig | None) -> list[dict[str, Any]]:
    store = this_store()
    served = served_by(config, store)
    return rows_of(pulled_in(store), store, load_catalogue(), served)


def _pulled_meets(row: dict[str, Any], words: Sequence[str]) -> bool:
    text = " ".join(pulled_cells(row)).lower()
    return all(word.lower() in text for word in words)


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines with columns as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def _served_rows(named: str | None, url: str, words: Sequence[str]) -> list[dict[str, Any]]:
    """Return what a gateway serves; one that was named has to answer, or the command ends."""
    try:
        rows = _ask(url if "://" in url else f"http://{url}")
    except _Unanswered as problem:
        click.echo(str(problem), err=True)
        if named is None:
            return []
        sys.exit(1)
    aliases: dict[str, list[str]] = {}
    for row in rows:
        if row.get("kind") == "alias" and isinstance(row.get("alias_of"), str):
            aliases.setdefault(row["alias_of"], []).append(_word(row.get("id")))
    served = [
        row | {"aliases": aliases.get(_word(row.get("id")), [])}
        for row in rows
        if row.get("kind", "model") == "model"
    ]
    return [row for row in served if _row_meets(row, words)]


def _row_meets(row: dict[str, Any], words: Sequence[str]) -> bool:
    text = " ".join((*_served_cells(row), *_words(row.get("languages")))).lower()
    return all(word.lower() in text for word in words)


def _ask(url: str) -> list[dict[str, Any]]:
    """Return the rows of `/v1/models`.

    Raises:
        _Unanswered: nothing answers there, or not with a list of models; the key cannot be read.
    """
    try:
        key = read_environment(os.environ).api_key
    except EnvironmentProblem as problem:
        raise _Unanswered(str(problem)) from None
    headers = {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    base = url.rstrip("/").removesuffix("/v1")
    try:
        # The key goes where the caller says and nowhere else: no proxies, no redirects.
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
            answer = client.get(f"{base}/v1/models", headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise _Unanswered(
            f"no gateway answers at {base} ({problem}); start one with `weighbridge serve`, "
            "or say where it is with --url"
        ) from problem
    if answer.status_code in (401, 403):
        raise _Unanswered(
            f"the gateway at {base} refuses access (HTTP {answer.status_code}); "
            "set WEIGHBRIDGE_API_KEY to its key"
        )
    rows = _list_in(answer)
    if rows is None:
        raise _Unanswered(
            f"{base}/v1/models answers with HTTP {answer.status_code} and no list of models; "
            "is it a gateway? Say where it is with --url"
        )
    return rows


def _list_in(answer: httpx.Response) -> list[dict[str, Any]] | None:
    try:
        body = msgspec.json.decode(answer.content)
    except UNREADABLE:
        return None
    data = body.get("data") if isinstance(body, dict) and answer.is_success else None
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else None


def _served_cells(row: dict[str, Any]) -> tuple[str, ...]:
    replicas = row.get("replicas")
    count = len(replicas) if isinstance(replicas, list) else 0
    ready = _ready_in(replicas)
    return (
        _word(row.get("id")),
        _state(row),
        ", ".join(_words(row.get("engines"))) or "unknown",
        f"{ready}/{count} ready",
        _word(row.get("family")),
        short_count(row.get("parameters")),
        tokens(row.get("context")),
        _licence(row.get("licence")),
        ", ".join(_words(row.get("aliases"))) or "-",
    )


def _ready_in(replicas: object) -> int:
    listed = replicas if isinstance(replicas, list) else []
    return sum(1 for one in listed if isinstance(one, dict) and one.get("state") == "ready")


def _state(row: dict[str, Any]) -> str:
    state, reason = _word(row.get("state")), row.get("reason")
    return f"{state}: {reason}" if isinstance(reason, str) and reason else state


def _licence(value: object) -> str:
    if isinstance(value, dict):
        return _word(value.get("name") or value.get("spdx") or value.get("class"))
    return _word(value)


def _word(value: object) -> str:
    return value if isinstance(value, str) and value else "unknown"


def _words(values: object) -> list[str]:
    return [one for one in values if isinstance(one, str)] if isinstance(values, list) else []
