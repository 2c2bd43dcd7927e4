"""Answers on their way: JSON whole, or a body bit by bit, as ASGI has it.

Owns: the messages. Must not: know what is in them.
"""

import msgspec
from starlette.responses import Response
from starlette.types import Send


def json_response(value: object, status: int = 200) -> Response:
    """Return a value as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def send_json(send: Send, body: bytes) -> None:
    """Send a whole answer."""
    await start(send, 200, b"application/json", len(body))
    await end(send, body)


async def start(send: Send, status: int, kind: bytes, length: int | None = None) -> None:
    """Send the head of an answer."""
    headers = [(b"content-type", kind)]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def more(send: Send, body: bytes) -> None:
    """Send a part of its body."""
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def end(send: Send, body: bytes) -> None:
    """Send the last part of its body."""
    await send({"type": "http.response.body", "body": body})
