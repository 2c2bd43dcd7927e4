"""What every request passes first: its id, the door, the access log. Plain ASGI callables.

Owns: request ids; who may come in: Host, Origin, key, content type; the line in the log.
Must not: read bodies.
"""

import hmac
import logging
import os
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import ApiError, Forbidden, NotAuthenticated, UnsupportedMediaType
from gateway.rendering import send_error

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN_PATHS = frozenset({"/health", "/ready"})  # probes carry no key
_HAS_BODY = frozenset({"POST", "PUT", "PATCH"})
_access = logging.getLogger("weighbridge.access")


@dataclass(frozen=True, slots=True)
class DoorRules:
    """Who may come in.

    `any_host` turns the check of Host off: with a key a rebound name gains nothing.
    """

    key: SecretStr | None = None
    any_host: bool = False
    hosts: frozenset[str] = field(default_factory=frozenset)
    origins: frozenset[str] = field(default_factory=frozenset)


class RequestIds:
    """Gives every request an id, puts it on the response, writes the access log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with `scope["weighbridge.request_id"]`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope) or os.urandom(12).hex().encode()
        scope["weighbridge.request_id"] = request_id.decode()
        began_s = time.perf_counter()
        start: Message = {}

        async def send_with_id(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if _access.isEnabledFor(logging.INFO):
                _log(scope, start, time.perf_counter() - began_s)


class Door:
    """Lets in whom the rules let in. A refusal is an OpenAI error and reaches no endpoint."""

    def __init__(self, app: ASGIApp, rules: DoorRules) -> None:
        self._app = app
        self._rules = rules
        key = None if rules.key is None else rules.key.get_secret_value()
        self._expected = None if key is None else f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on with `scope["weighbridge.trusted"]`, or refuse."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no endpoint speaks anything else; the server answers the handshake with 403
        try:
            scope["weighbridge.trusted"] = self._check(scope)
        except ApiError as error:
            await send_error(error, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> bool:
        """Return whether the client may see details; raise the refusal otherwise."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, value)
        host = headers.get(b"host", b"").decode("latin-1")
        self._check_host(host)
        self._check_origin(headers.get(b"origin"), host)
        trusted = self._has_key(headers.get(b"authorization"))
        if not trusted and scope["path"] not in _OPEN_PATHS:
            raise NotAuthenticated(
                "The key is missing or wrong. Send it as 'Authorization: Bearer KEY'."
            )
        if scope["method"] in _HAS_BODY:
            _check_content_type(headers.get(b"content-type", b""))
        return trusted

    def _check_host(self, host: str) -> None:
        if self._rules.any_host and not self._rules.hosts:
            return
        name = _host_name(host)
        if name not in _LOOPBACK and name not in self._rules.hosts:
            raise Forbidden(
                "This gateway does not serve that Host name. "
                "Add it to gateway.allowed_hosts in routing.yaml if it is yours."
            )

    def _check_origin(self, origin: bytes | None, host: str) -> None:
        if origin is None:
            return
        told = origin.decode("latin-1").lower()
        if told in self._rules.origins or urlsplit(told).netloc == host.lower():
            return
        raise Forbidden(
            "Web pages of this Origin may not call this gateway. "
            "Add it to gateway.allowed_origins in routing.yaml if it is yours."
        )

    def _has_key(self, given: bytes | None) -> bool:
        if self._expected is None:
            return True
        scheme, _, key = (given or b"").partition(b" ")
        return hmac.compare_digest(scheme.title() + b" " + key.strip(), self._expected)


def _given_id(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return None


def _check_content_type(given: bytes) -> None:
    if given.partition(b";")[0].strip().lower() != b"application/json":
        raise UnsupportedMediaType("The body must be JSON: send 'Content-Type: application/json'.")


def _host_name(host: str) -> str:
    """Return the name in a Host header, in lower case, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _log(scope: Scope, start: Message, took_s: float) -> None:
    told = {k: v.decode("latin-1") for k, v in start.get("headers", ()) if k.startswith(b"x-")}
    _access.info(
        "%s %s %s %.3fs model=%s rule=%s id=%s",
        scope["method"],
        scope["path"][:200].encode("unicode_escape").decode(),
        start.get("status", "gone"),
        took_s,
        told.get(b"x-weighbridge-model", "-"),
        told.get(b"x-weighbridge-rule", "-"),
        scope["weighbridge.request_id"],
    )
