"""The weights of this machine as rows: for `weighbridge models`, and for `rm` to choose from.

Owns: the columns, and which model of the routing file uses what.
Must not: change anything.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engines.families import Catalogue
from engines.hub.words import gigabytes
from engines.kinds import LlamacppEngine, ModelOrder
from engines.memory import in_words
from engines.weights import WeightsProblem, locate
from engines.weights.pulled import Pulled
from engines.weights.store import Store, text_of
from gateway.config.loading import LoadedConfig

HEAD = ("weights", "state", "size", "memory", "licence", "last use", "served as")
_DAY_S = 86_400


def rows_of(
    found: Iterable[Pulled],
    store: Store,
    catalogue: Catalogue,
    served: Mapping[Path, Sequence[str]],
) -> list[dict[str, Any]]:
    """Return what people want to know of each; `served` are the models that open a file."""
    return [_row(one, store, catalogue, served) for one in found]


def served_by(config: LoadedConfig | None, store: Store) -> dict[Path, list[str]]:
    """Return the models of a routing file by the files that they open."""
    served: dict[Path, list[str]] = {}
    models = {} if config is None else config.file.models
    for name, model in models.items():
        for weights in (model.weights, model.mmproj):
            for file in _files_of(weights, config, store):
                served.setdefault(file.resolve(), []).append(name)
    return served


def _files_of(weights: str | None, config: LoadedConfig | None, store: Store) -> tuple[Path, ...]:
    if config is None or weights is None:
        return ()
    try:
        return locate(weights, config.base, store).files
    except WeightsProblem:
        return ()


def users_of(one: Pulled, served: Mapping[Path, Sequence[str]]) -> tuple[str, ...]:
    """Return the models that open files of these weights."""
    names = (name for file in one.files for name in served.get(file.resolve(), ()))
    return tuple(dict.fromkeys(names))


def cells(row: Mapping[str, Any], now_s: float | None = None) -> tuple[str, ...]:
    """Return a row for the table."""
    used = datetime.fromisoformat(row["last_used"]).timestamp()
    days = int(((time.time() if now_s is None else now_s) - used) // _DAY_S)
    return (
        row["weights"],
        row["state"],
        gigabytes(row["size_bytes"]),
        "unknown" if row["memory_bytes"] is None else in_words(row["memory_bytes"]),
        row["licence"] or "unknown",
        "today" if days < 1 else f"{days} days ago" if days > 1 else "yesterday",
        ", ".join(row["served_as"]) or "-",
    )


def _memory(one: Pulled) -> int | None:
    """Return what a worker of ours takes at its defaults, its cells full; None for vLLM's."""
    if one.format != "gguf":
        return None
    order = ModelOrder(one.weights, "", Path(), weights=str(one.files[0].absolute()))
    try:
        return LlamacppEngine(kind="llamacpp").need(order).total_bytes
    except WeightsProblem:
        return None


def _licence_of(repo: str, store: Store, catalogue: Catalogue) -> str | None:
    """Return the licence that was noted, else the catalogue's; None where nobody knows it."""
    entry = catalogue.find(repo) if repo else None
    return text_of(store.about_note(repo)) or (None if entry is None else entry.licence.name)


def _row(
    one: Pulled, store: Store, catalogue: Catalogue, served: Mapping[Path, Sequence[str]]
) -> dict[str, Any]:
    used = datetime.fromtimestamp(one.last_used_s, UTC).isoformat(timespec="seconds")
    return {
        "kind": "pulled",
        "weights": one.weights,
        "state": "partly here" if one.format == "partly" else "pulled",
        "format": None if one.format == "partly" else one.format,
        "quantisation": one.quantisation or None,
        "size_bytes": one.size_bytes,
        "memory_bytes": _memory(one),
        "licence": _licence_of(one.repo, store, catalogue),
        "last_used": used,
        "served_as": list(users_of(one, served)),
    }
