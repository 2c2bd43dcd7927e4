"""Reading a request's body, at most as much as allowed.

Owns: the limit.
Must not: parse.
"""

from starlette.types import Receive, Scope

from gateway.api.departure import ClientGone
from gateway.errors import BodyTooLarge


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        BodyTooLarge: it says that it is, or is, beyond `limit_bytes`.
        ClientGone: the client went away before it had sent all.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit_bytes:
            raise _too_large(limit_bytes)
    parts: list[bytes] = []
    total_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        total_bytes += len(part)
        if total_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body is larger than {limit_bytes} bytes. Send less, or raise "
        "gateway.body_limit_bytes in routing.yaml."
    )
