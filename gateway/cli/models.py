"""`weighbridge models`: what a running gateway serves, or what the catalogue knows.

Owns: the question to the gateway, both tables and their JSON.
Must not: know a fact about a model; the catalogue and the gateway do.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import httpx
import msgspec

from engines.families import Entry, Licence, load_catalogue
from gateway.environment import EnvironmentProblem, read_environment

_DEFAULT_URL = "http://127.0.0.1:8000"
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
_CATALOGUE_HEAD = (
    "name",
    "parameters",
    "context",
    "licence",
    "class",
    "conditions",
    "languages",
    "strengths",
)


class _Unanswered(Exception):
    """The gateway gave no list of models; the message says why and what to do."""


@click.command(short_help="Show what a running gateway serves, or the catalogue.")
@click.argument("words", nargs=-1)
@click.option("--catalogue", is_flag=True, help="Show every model the catalogue knows.")
@click.option("--url", default=_DEFAULT_URL, show_default=True, help="A running gateway.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def models(words: tuple[str, ...], url: str, *, catalogue: bool, as_json: bool) -> None:
    """Show what a running gateway serves and how it is doing; WORDS filter the rows.

    The key is taken from WEIGHBRIDGE_API_KEY or WEIGHBRIDGE_API_KEY_FILE.
    """
    if catalogue:
        entries = [entry for entry in load_catalogue().entries if _meets(entry, words)]
        rows = [_entry_dict(entry) for entry in entries]
        table = [_CATALOGUE_HEAD, *(_entry_cells(entry) for entry in entries)]
    else:
        rows = _served_rows(url, words)
        table = [_SERVED_HEAD, *(_served_cells(row) for row in rows)]
    if as_json:
        click.echo(msgspec.json.encode(rows))
    elif not rows:
        click.echo("no model matches these words" if words else "no models", err=True)
    else:
        click.echo(aligned(table))


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines with columns as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def short_count(count: object) -> str:
    """Return a count as people read it (`7.61B`, `131,072` stays whole below a million)."""
    if isinstance(count, bool) or not isinstance(count, int):
        return "unknown"
    for size, letter in ((10**9, "B"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.2f}".rstrip("0").rstrip(".") + letter
    return f"{count:,}"


def conditions_of(licence: Licence) -> str:
    """Return in a few words what a licence holds back; its note and the rest are in the JSON."""
    told = []
    if licence.commercial == "no":
        told.append("no commercial use")
    elif licence.commercial == "on-request":
        told.append("ask before commercial use")
    elif licence.commercial is None:
        told.append("commercial use unknown")
    if licence.monthly_users is not None:
        told.append(f"<= {short_count(licence.monthly_users)} users a month")
    elif not licence.unlimited_users:
        told.append("user limit unknown")
    if licence.excluded_regions is None:
        told.append("regions unknown")
    elif licence.excluded_regions:
        told.append(f"not {', '.join(licence.excluded_regions)}")
    if licence.attribution:
        told.append(f'show "{licence.attribution}"')
    if not told and licence.licence_class != "open":
        told.append("see the licence")
    return "; ".join(told) or "-"


def _meets(entry: Entry, words: Iterable[str]) -> bool:
    licence = entry.licence
    text = " ".join(
        (
            entry.name,
            entry.family,
            licence.id,
            licence.licence_class,
            *entry.strengths,
            *entry.capabilities,
            *(entry.languages or ()),
        )
    ).lower()
    return all(word.lower() in text for word in words)


def _entry_dict(entry: Entry) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(entry)
    return facts | {"capabilities": entry.capabilities}


def _entry_cells(entry: Entry) -> tuple[str, ...]:
    size = short_count(entry.parameters)
    if entry.active_parameters != entry.parameters:
        size += f" ({short_count(entry.active_parameters)} active)"
    context = _tokens(entry.context_tokens)
    if entry.extended_context_tokens is not None:
        context += f" ({_tokens(entry.extended_context_tokens)} extended)"
    languages = "unknown" if entry.languages is None else str(len(entry.languages))
    return (
        entry.name,
        size,
        context,
        entry.licence.id,
        entry.licence.licence_class,
        conditions_of(entry.licence),
        languages,
        ", ".join(entry.strengths),
    )


def _tokens(count: object) -> str:
    return f"{count:,}" if isinstance(count, int) else "unknown"


def _served_rows(url: str, words: Sequence[str]) -> list[dict[str, Any]]:
    try:
        rows = _ask(url)
    except _Unanswered as problem:
        click.echo(str(problem), err=True)
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
            f"the gateway at {base} refuses (HTTP {answer.status_code}); "
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
    except msgspec.DecodeError:
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
        _tokens(row.get("context")),
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
