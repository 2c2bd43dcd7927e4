"""The one way in which an error becomes a response.

Owns: status, headers and body of every error, whoever raised it.
Must not: decide which error it is; put anything of the inside into a response.
"""

import math
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from gateway.errors import (
    ApiError,
    GatewayStopping,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
)
from gateway.signposts import signpost

FAILED = "The gateway failed; its log says why. The request id finds the line."
# The SDKs retry these by themselves; ours have been tried wherever it could help.
_RETRIED_BY_CLIENTS = (408, 409, 429)


def headers_of(error: ApiError) -> dict[str, str]:
    """Return the headers that go with an error."""
    headers = {"content-type": "application/json"}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s))
    elif isinstance(error, GatewayStopping):
        headers["x-should-retry"] = "true"  # whoever has taken our place may answer
    elif error.status >= 500 or error.status in _RETRIED_BY_CLIENTS:
        headers["x-should-retry"] = "false"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers


def respond(error: ApiError) -> Response:
    """Return the response for an error."""
    return Response(error.body(), error.status, headers_of(error))


async def send_error(error: ApiError, send: Send) -> None:
    """Send an error from outside the application, where no exception handler stands."""
    body = error.body()
    headers = [(k.encode(), v.encode()) for k, v in headers_of(error).items()]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def as_api_error(error: Exception, path: str, method: str) -> ApiError:
    """Return ours for anything that was raised; what nobody expected is a 500 without details."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            shown = path if len(path) <= 100 else path[:97] + "..."
            hint = " ".join((signpost(path), "GET /docs lists what there is.")).lstrip()
            return NotFound(f"There is no {method} {shown} here. {hint}")
        if error.status_code == 405:
            return MethodNotAllowed(f"{method} is not allowed here. GET /docs lists what is.")
        if error.status_code < 500:
            return InvalidRequest(str(error.detail))
    return InternalError(FAILED)


async def on_exception(request: Request, error: Exception) -> Response:
    """Answer any exception; registered for all classes. `gateway.middleware` logs defects."""
    response = respond(as_api_error(error, request.url.path, request.method))
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})  # Allow, on a 405
    return response


HANDLERS: dict[Any, Any] = {
    ApiError: on_exception,
    HTTPException: on_exception,
    Exception: on_exception,
}
