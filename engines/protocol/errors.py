"""The OpenAI error shape, and the one exception that becomes it.

Owns: how an error looks on the wire.
Must not: decide which errors exist; `gateway.errors` and the workers subclass `ApiError`.
"""

from typing import ClassVar

import msgspec


class ErrorDetail(msgspec.Struct, frozen=True):
    """The inside of an OpenAI error: `{"message", "type", "param", "code"}`."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """The whole of an OpenAI error: `{"error": {...}}`."""

    error: ErrorDetail


class ApiError(Exception):
    """An error that a client may read.

    Subclasses fix `status` (HTTP), `type` and `code` (OpenAI's words) and whose `fault` it was
    (client, gateway or engine). The message says what was wrong, where, and how to mend it; it
    never carries a path, a secret or a stack trace.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None
    fault: ClassVar[str] = "gateway"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else self.default_code
        self.retry_after_s: float | None = None  # when to try again, where somebody knows

    def body(self) -> bytes:
        """Return the JSON body of this error."""
        return error_body(self.message, kind=self.type, param=self.param, code=self.code)


class InvalidRequest(ApiError):
    """The client's request cannot be served as it is: 400."""

    status = 400
    type = "invalid_request_error"
    fault = "client"


class ContextLengthExceeded(InvalidRequest):
    """Prompt and answer do not fit the model's context: 400 `context_length_exceeded`."""

    default_code = "context_length_exceeded"


class NotFound(ApiError):
    """There is no such route or object: 404."""

    status = 404
    type = "invalid_request_error"
    default_code = "not_found"
    fault = "client"


class MethodNotAllowed(ApiError):
    """The route exists for another method: 405."""

    status = 405
    type = "invalid_request_error"
    default_code = "method_not_allowed"
    fault = "client"


class Forbidden(ApiError):
    """A Host or an Origin that is not served here: 403."""

    status = 403
    type = "invalid_request_error"
    default_code = "forbidden"
    fault = "client"


class UnsupportedMediaType(ApiError):
    """The body is not declared as JSON: 415."""

    status = 415
    type = "invalid_request_error"
    default_code = "unsupported_media_type"
    fault = "client"


def error_body(
    message: str, *, kind: str, param: str | None = None, code: str | None = None
) -> bytes:
    """Return `{"error": {"message", "type", "param", "code"}}` as JSON bytes."""
    return msgspec.json.encode(ErrorBody(ErrorDetail(message, kind, param, code)))
