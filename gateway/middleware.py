"""What every request passes first: its id, the door, the access log. Plain ASGI callables.

Owns: request ids; who may come in: Host, Origin, key, content type; the lines in the log; the end
of what nobody caught.
Must not: read bodies.
"""

import asyncio
import hmac
import itertools
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.asgi import Answer, answer_of
from engines.door import (
    HAS_BODY,
    LOOPBACK_NAMES,
    headers_in,
    host_name,
    is_address,
    is_json,
    is_own_origin,
)
from gateway.errors import (
    ApiError,
    Forbidden,
    GatewayStopping,
    InternalError,
    NotAuthenticated,
    UnsupportedMediaType,
)
from gateway.rendering import FAILED, send_error

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_OPEN_PATHS = frozenset({"/health", "/ready"})  # probes carry no key
# What they tell is true of the product everywhere, and a browser cannot send a key with a link.
_PUBLIC_PATHS = frozenset({"/docs", "/openapi.json"})
# Who asks them asks every few seconds: what went well would hide what people have asked.
_PROBED_PATHS = frozenset({"/health", "/ready", "/metrics"})
_LONGEST_LOGGED = 200
_LINE = (
    "%(method)s %(path)s %(status)s %(duration_s).3fs model=%(model)s rule=%(rule)s "
    "client=%(client)s id=%(request_id)s"
)
_MOST_KNOWN_HOSTS = 64
_log = logging.getLogger("weighbridge")
_access = logging.getLogger("weighbridge.access")


@dataclass(frozen=True, slots=True)
class DoorRules:
    """Who may come in.

    `any_host` turns the check of Host off: with a key a rebound name gains nothing. `any_address`
    lets every IP address be a Host: nobody can rebind one, a page there comes from that machine.
    """

    key: SecretStr | None = None
    any_host: bool = False
    any_address: bool = False
    hosts: frozenset[str] = field(default_factory=frozenset)
    origins: frozenset[str] = field(default_factory=frozenset)


class RequestIds:
    """Gives every request an id, puts it on the response, writes the access log.

    The outermost of all: what nobody caught is logged and answered here, once.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # Ids need not be secret: asking the system for each costs more than the rest of this.
        self._own, self._numbers = os.urandom(8).hex().encode(), itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with `weighbridge.request_id` and `.headers` (by name) in `scope`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["weighbridge.headers"] = headers_in(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = b"%b%08x" % (self._own, next(self._numbers))
        scope["weighbridge.request_id"] = request_id.decode()
        began_s = time.perf_counter()
        answer = answer_of(scope, send) or _Noted(send)
        answer.more_headers = ((b"x-request-id", request_id),)
        try:
            await self._app(scope, receive, answer.send)
        except asyncio.CancelledError:
            # The server's, at the end of the drain time. Raised on, it is logged as a defect.
            if not answer.started:
                await send_error(GatewayStopping(), answer.send)
        except Exception:  # noqa: BLE001 - the root of a request
            _log.exception("request %s failed", scope["weighbridge.request_id"])
            if not answer.started:
                await send_error(InternalError(FAILED), answer.send)
        finally:
            if _access.isEnabledFor(logging.INFO):
                _log_access(scope, answer, time.perf_counter() - began_s)


class _Noted:
    """An answer on another server than ours: what it begins with is noted as it passes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.status = 0
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.more_headers: Sequence[tuple[bytes, bytes]] = ()

    async def send(self, message: Message) -> None:
        """Pass a message on, with more headers."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            self.headers = message["headers"] = [*message.get("headers", ()), *self.more_headers]
        await self._send(message)


class Door:
    """Lets in whom the rules let in. A refusal is an OpenAI error and reaches no endpoint."""

    def __init__(
        self, app: ASGIApp, rules: DoorRules, serves: Callable[[Scope], bool] = lambda _: True
    ) -> None:
        """`serves` says whether anything is done with a body at this path, by this method."""
        self._app = app
        self._rules = rules
        self._serves = serves
        key = None if rules.key is None else rules.key.get_secret_value()
        self._expected = None if key is None else f"Bearer {key}".encode()
        self._known_hosts: set[bytes] = set()  # values of Host that were found to be ours

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Check, then pass on with `scope["weighbridge.trusted"]`, or refuse.

        What is to be awaited is what the application returns: another frame for each request and
        each time that it goes on would be for nothing.
        """
        if scope["type"] == "http":
            try:
                scope["weighbridge.trusted"] = self._check(scope)
            except ApiError as error:
                return send_error(error, send)
        elif scope["type"] != "lifespan":
            return _nothing()  # no endpoint speaks it; the server answers the handshake with 403
        return self._app(scope, receive, send)

    def _check(self, scope: Scope) -> bool:
        """Return whether the client may see details; raise the refusal otherwise."""
        headers = scope.get("weighbridge.headers") or headers_in(scope["headers"])
        if self._expected is None or scope["path"] not in _OPEN_PATHS:
            host = headers.get(b"host", b"")
            if host not in self._known_hosts:
                self._check_host(host)
            if b"origin" in headers:
                self._check_origin(headers[b"origin"], host)
        trusted = self._has_key(headers.get(b"authorization"))
        if not trusted and scope["path"] not in _OPEN_PATHS | _PUBLIC_PATHS:
            raise NotAuthenticated(
                "The key is missing or wrong. Send it as 'Authorization: Bearer KEY'."
            )
        foreign = scope["method"] in HAS_BODY and not is_json(headers.get(b"content-type", b""))
        if foreign and self._serves(scope):  # elsewhere the path is what is wrong
            raise UnsupportedMediaType(
                "The body must be JSON: send 'Content-Type: application/json'."
            )
        return trusted

    def _check_host(self, host: bytes) -> None:
        if self._rules.any_host and not self._rules.hosts:
            return
        name = host_name(host.decode("latin-1").lower())
        known = name in LOOPBACK_NAMES or name in self._rules.hosts
        if not known and not (self._rules.any_address and is_address(name)):
            raise Forbidden(
                "This gateway does not serve that Host name. "
                "Add it to gateway.allowed_hosts in routing.yaml if it is yours."
            )
        if len(self._known_hosts) < _MOST_KNOWN_HOSTS and len(host) <= _LONGEST_LOGGED:
            self._known_hosts.add(host)

    def _check_origin(self, origin: bytes, host: bytes) -> None:
        told = origin.decode("latin-1").lower()
        own = is_own_origin(told, host.decode("latin-1").lower())
        if own or told in self._rules.origins:
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


async def _nothing() -> None:
    """Answer nothing."""


def _log_access(scope: Scope, answer: "Answer | _Noted", took_s: float) -> None:
    told = {k: v.decode("latin-1") for k, v in answer.headers if k.startswith(b"x-")}
    client = scope.get("client")
    probed = scope["path"] in _PROBED_PATHS and answer.started and answer.status < 400
    _access.log(
        logging.DEBUG if probed else logging.INFO,
        _LINE,
        {
            "method": scope["method"],
            "path": _path(scope),
            "status": answer.status if answer.started else "gone",
            "duration_s": round(took_s, 4),
            "model": told.get(b"x-weighbridge-model", "-"),
            "rule": told.get(b"x-weighbridge-rule", "-"),
            "client": client[0] if client else "-",
            "request_id": scope["weighbridge.request_id"],
        },
    )


def _path(scope: Scope) -> str:
    """Return the path as it was sent, percent-encoded: a line in the log stays one line."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw[:_LONGEST_LOGGED].decode("latin-1").encode("unicode_escape").decode()
