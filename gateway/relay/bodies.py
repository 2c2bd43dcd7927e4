"""Editing request bodies: only what must change, every other value byte for byte.

Owns: the top level of a JSON object.
Must not: look deeper than a field it is asked to set.
"""

from collections.abc import Collection, Mapping

import msgspec

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def edit_request(
    body: bytes,
    *,
    model: str | None,
    ask_usage: bool,
    changes: Mapping[str, msgspec.Raw] | None = None,
    without: Collection[str] = (),
) -> bytes:
    """Return `body` with `model` and `changes` set, and without some fields.

    With `ask_usage` a stream's usage is asked for.

    With nothing to change the very same bytes come back. Values that are not edited keep their
    bytes; white space between fields may go. `body` is a JSON object.
    """
    if model is None and not ask_usage and not changes and not without:
        return body
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
        fields["stream_options"] = msgspec.Raw(msgspec.json.encode(options))
    return msgspec.json.encode(fields)
