"""A server's `/v1/models` as plain values, whatever kind of server it is.

Owns: the fields of vLLM, SGLang, llama-server, Ollama, LM Studio and of our own that say something
of a model.
Must not: trust any of them: a field of another type counts as absent.
"""

from typing import Any

import msgspec

from engines.protocol.unreadable import UNREADABLE
from gateway.setup.sources import Listed

# Fewer tokens than the schema takes, or more than any model has, are no context length.
_CONTEXTS = range(64, 1 << 31)
_PARAMETERS = range(1, 1 << 50)
_SERVED = ("max_model_len",)
_TRAINED = ("max_context_length", "context_length", "context_window", "context")
# Another Weighbridge lists its other names for its models too.
_OTHER_NAMES = ("alias", "auto")


class NoList(ValueError):
    """The answer is no list of models."""


def read_list(body: bytes) -> tuple[tuple[Listed, ...], str]:
    """Return the models, each id once, and the `owned_by` of the first ("" without one).

    Raises:
        NoList: it is not JSON, or has no `data` array.
    """
    try:
        answer = msgspec.json.decode(body)
    except UNREADABLE:
        raise NoList from None
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        raise NoList
    rows = [row for row in data if isinstance(row, dict) and _is_model(row)]
    listed = {row["id"]: _listed(row) for row in reversed(rows)}
    owner = _word(rows[0].get("owned_by")) if rows else None
    return tuple(dict.fromkeys(listed[row["id"]] for row in rows)), owner or ""


def _is_model(row: dict[str, Any]) -> bool:
    return _word(row.get("id")) is not None and row.get("kind") not in _OTHER_NAMES


def _listed(row: dict[str, Any]) -> Listed:
    meta = row.get("meta")
    known: dict[str, Any] = meta if isinstance(meta, dict) else {}
    return Listed(
        id=row["id"],
        root=_word(row.get("root")),
        parent=_word(row.get("parent")),
        context_tokens=_first(row, _SERVED, _CONTEXTS) or _first(known, ("n_ctx",), _CONTEXTS),
        trained_tokens=_first(row, _TRAINED, _CONTEXTS)
        or _first(known, ("n_ctx_train",), _CONTEXTS),
        parameters=_first(known, ("n_params",), _PARAMETERS)
        or _first(row, ("parameters",), _PARAMETERS),
        capabilities=_words(row.get("capabilities")),
    )


def _first(row: dict[str, Any], names: tuple[str, ...], allowed: range) -> int | None:
    for name in names:
        value = row.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value in allowed:
            return value
    return None


def _words(value: object) -> frozenset[str]:
    return frozenset(filter(None, map(_word, value))) if isinstance(value, list) else frozenset()


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
