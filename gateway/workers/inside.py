"""What a worker has the parent answer: everything but generations and `/v1/route`.

Owns: this way from a worker's door to the parent's pages, on a socket in a private folder.
Must not: let anybody else in: the parent takes the worker's word for who has a key.
"""

from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from engines.asgi import BodyTooLong, ClientGone, Departure, read_body
from engines.kinds import Deadlines, ReplicaAddress
from engines.protocol.errors import ApiError
from gateway.errors import BodyTooLarge, GatewayStopping
from gateway.relay.client import Unreachable, UpstreamClient, UpstreamRequest
from gateway.relay.connection import ConnectionLost
from gateway.relay.watch import DeadlinePassed
from gateway.rendering import send_error
from gateway.serving import Fronted

_ID, _TRUSTED = b"x-request-id", b"x-weighbridge-trusted"
# A model that is loaded by hand may take its time.
_PATIENCE = Deadlines(connect_s=5, first_byte_s=3_600, idle_s=3_600)
# Those of one connection, and those that are said anew.
_OWN = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"authorization",
        _ID,
        _TRUSTED,
    }
)
_OWN_OF_ANSWERS = frozenset({b"connection", b"transfer-encoding", b"date"})


class ToParent:
    """A worker's side: an ASGI application that passes requests on."""

    def __init__(self, socket_path: Path, client: UpstreamClient, live: Fronted) -> None:
        self._address = ReplicaAddress(socket_path=socket_path, base_path="")
        self._client = client
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            return
        limit_bytes = self._live.gateway.config.file.gateway.body_limit_bytes
        try:
            body = await read_body(scope, receive, limit_bytes)
            with Departure(scope, receive):
                await self._pass(scope, body, send)
        except ClientGone:
            return
        except BodyTooLong:
            await send_error(BodyTooLarge.beyond(limit_bytes), send)
        except ApiError as error:
            await send_error(error, send)

    async def _pass(self, scope: Scope, body: bytes, send: Send) -> None:
        try:
            answer = await self._client.send(self._address, _request_of(scope, body), _PATIENCE)
        except (Unreachable, ConnectionLost, DeadlinePassed):
            raise GatewayStopping from None
        try:
            headers = [row for row in answer.headers if row[0] not in _OWN_OF_ANSWERS]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            async for piece in answer.pieces():
                answer.heard()
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            answer.release()


def _request_of(scope: Scope, body: bytes) -> UpstreamRequest:
    # A HEAD is asked as a GET: the worker's connection leaves the body out.
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    headers = [(name, value) for name, value in scope["headers"] if name not in _OWN]
    if body:  # said anew as well
        headers = [row for row in headers if row[0] != b"content-type"]
    headers.append((_ID, scope["weighbridge.request_id"].encode()))
    headers.append((_TRUSTED, b"1" if scope["weighbridge.trusted"] else b"0"))
    told = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    return UpstreamRequest(method, (scope["raw_path"] + query).decode("latin-1"), body, told)


class FromWorkers:
    """The parent's side: takes a worker's word for what its door has found out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with the id and the trust that the worker says."""
        if scope["type"] == "http":
            told = dict(scope["headers"])
            scope["weighbridge.request_id"] = told.get(_ID, b"").decode("latin-1")
            scope["weighbridge.trusted"] = told.get(_TRUSTED) == b"1"
        await self._app(scope, receive, send)
