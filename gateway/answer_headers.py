"""The response headers that say what was decided.

Owns: their names, and how a value becomes printable ASCII.
Must not: decide.
"""

from functools import lru_cache
from urllib.parse import quote

from engines.asgi import Head
from gateway.domain import Choice, Weighed
from gateway.relay.exchange import JSON, STREAM

Headers = tuple[tuple[bytes, bytes], ...]


def decision_headers(choice: Choice, weighed: Weighed | None) -> Headers:
    """Return the headers of a decision; `weighed` is None where a model was named."""
    told = [(b"x-weighbridge-rule", header_value(choice.rule))]
    if weighed is not None:
        told.append((b"x-weighbridge-language", header_value(weighed.language)))
        told.append((b"x-weighbridge-task", header_value(weighed.task)))
        told.append((b"x-weighbridge-size", header_value(weighed.request_size)))
    return tuple(told)


@lru_cache(maxsize=4_096)  # of few models and replicas, and of what weighing may say
def answer_head(model: str, engine: str, replica: str, decided: Headers, *, stream: bool) -> Head:
    """Return what an answer begins with that one replica gives to a request so `decided`."""
    return Head(
        (
            *(STREAM if stream else (JSON,)),
            (b"x-weighbridge-model", header_value(model)),
            (b"x-weighbridge-replica", header_value(f"{engine}/{replica}")),
            *decided,
        )
    )


@lru_cache(maxsize=1_024)  # the names of models, rules and languages come again and again
def header_value(text: str) -> bytes:
    """Return a header's value: printable ASCII stays, anything else is percent-encoded."""
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    return quote(text, safe=" /:.-_").encode("ascii")
