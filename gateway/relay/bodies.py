"""Editing request bodies: only what must change, every other value byte for byte.

Owns: the top level of a JSON object.
Must not: look deeper than a field it is asked to set.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache

import msgspec

_MODEL = b'"model"'
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def edit_request(
    body: bytes,
    *,
    model: str | None,
    told: str | None = None,
    ask_usage: bool,
    changes: Mapping[str, msgspec.Raw] | None = None,
    without: Collection[str] = (),
) -> bytes:
    """Return `body` with `model` and `changes` set, and without some fields.

    With `ask_usage` a stream's usage is asked for, at its end. `told` is the model that it names.

    With nothing to change the very same bytes come back. Values that are not edited keep their
    bytes; white space between fields may go. `body` is a JSON object.
    """
    if not ask_usage and not changes and not without:
        if model is None:
            return body
        if told is not None and (quick := _renamed(body, told, model)) is not None:
            return quick
    fields = _OBJECT.decode(body)
    for name in without:
        fields.pop(name, None)
    fields.update(changes or {})
    if model is not None:
        fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    if ask_usage:
        given = fields.get("stream_options")
        options = _OBJECT.decode(given) if given is not None and bytes(given) != b"null" else {}
        options["include_usage"] = msgspec.Raw(b"true")
        options.pop("continuous_usage_stats", None)  # with each event only where a client asks so
        fields["stream_options"] = msgspec.Raw(msgspec.json.encode(options))
    return msgspec.json.encode(fields)


def _renamed(body: bytes, told: str, model: str) -> bytes | None:
    """Return `body` with another model; None where the bytes alone do not tell which field it is.

    A quote inside a JSON string is escaped: one key of this name is that of the top level, unless
    that one is spelt with escapes, as a client might that wants its own name to reach the engine.
    """
    if body.count(_MODEL) != 1 or b"\\u00" in body:
        return None
    for old, new in model_fields(told, model):
        if old in body:
            return body.replace(old, new, 1)
    return None


@lru_cache(maxsize=256)  # names that clients use and engines have, which are few
def model_fields(told: str, model: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the field with the one name and with the other, as clients space it."""
    names = msgspec.json.encode(told), msgspec.json.encode(model)
    return tuple((field + names[0], field + names[1]) for field in (_MODEL + b":", _MODEL + b": "))
