"""Who may come in over TCP, in the parts that gateway and workers share.

A page in a browser can send a form to any address of its machine, and can have a name of its own
rebound to one. Host, Origin and the content type each tell such a request from a client's.

Owns: what a Host names, which origins are pages of our own, what a JSON body declares; and the door
of a server that has no more rules than these.
Must not: know keys or a configuration; `gateway.middleware` does.
"""

import ipaddress
import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from engines.protocol.errors import ApiError, Forbidden, UnsupportedMediaType

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HAS_BODY = frozenset({"POST", "PUT", "PATCH"})
# Name or bracketed address, a final dot, a port. Anything else is no Host that a browser sends.
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s,@/\\?#:\[\]]+?)\.?(?::[0-9]*)?", re.IGNORECASE)


def host_name(host: str) -> str:
    """Return the name in a Host header, in lower case, without port and brackets; "" for none."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").lower() if found else ""


def is_address(name: str) -> bool:
    """Say whether a name is an IP address, which nobody can rebind."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_own_origin(origin: str, host: str) -> bool:
    """Say whether a page of `origin` (lower case) was served under this Host."""
    return bool(host) and origin in (f"http://{host}", f"https://{host}")


def is_json(content_type: bytes) -> bool:
    """Say whether a body declares to be JSON: what else a page can send without asking is not."""
    if content_type == b"application/json":
        return True
    return content_type.partition(b";")[0].strip().lower() == b"application/json"


def headers_in(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by name; one that comes twice is joined: two Hosts are none of ours."""
    headers: dict[bytes, bytes] = {}
    for name, value in raw:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


class PageDoor:
    """Keeps web pages out of a server without a key; programs pass.

    `hosts` are served beside loopback names; with `any_address` every IP address is.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str] = frozenset(), any_address: bool = False
    ) -> None:
        self._app = app
        self._hosts = LOOPBACK_NAMES | hosts
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            refusal = self._refusal(scope)
            if refusal is not None:
                await _refuse(refusal, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = headers_in(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host_name(host)
        if name not in self._hosts and not (self._any_address and is_address(name)):
            return Forbidden("This worker does not serve that Host name.")
        origin = headers.get(b"origin")
        if origin is not None and not is_own_origin(origin.decode("latin-1").lower(), host):
            return Forbidden("Web pages of this Origin may not call this worker.")
        if scope["method"] in HAS_BODY and not is_json(headers.get(b"content-type", b"")):
            return UnsupportedMediaType(
                "The body must be JSON: send 'Content-Type: application/json'."
            )
        return None


async def _refuse(error: ApiError, send: Send) -> None:
    body = error.body()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
