"""The server's side of HTTP/1.1, before a request is one: bounds, and the words of a refusal.

Owns: how large a path and its headers may be; the answer to bytes that are no request.
Must not: know endpoints; what is a request goes to `gateway.middleware`.
"""

import os

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import ApiError, HeadTooLarge, InvalidRequest
from gateway.rendering import headers_of

MAX_HEAD_BYTES = 64 * 1024


class _TooLarge(Exception):
    """Raised inside the parser, which then stops."""


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which has no limit of its own, with one; refusals in OpenAI's shape."""

    _head_open = False
    _head_bytes = 0
    _waiting_bytes = 0  # received for a head whose end has not come: the parser holds them

    def data_received(self, data: bytes) -> None:
        """Parse; a head that never ends is refused once it is too large."""
        was_open = self._head_open
        super().data_received(data)
        if was_open and self._head_open:
            self._waiting_bytes += len(data)
            if self._waiting_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(_too_large())

    def on_message_begin(self) -> None:
        """Count anew."""
        self._head_open = True
        self._head_bytes = self._waiting_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count and keep a part of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count and keep a header; one after the body (a trailer) counts as well."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request over."""
        self._head_open = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused, and close."""
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_too_large())
        else:
            self._refuse(InvalidRequest(f"{msg} This port speaks HTTP/1.1.", code="no_http"))

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: it is answered as the plain request that it is as well."""

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _TooLarge

    def _refuse(self, error: ApiError) -> None:
        """Answer and close; in the middle of another answer only close."""
        free = getattr(self.cycle, "response_complete", True)  # there is no cycle at first
        if free:
            body = error.body()
            headers = headers_of(error) | {
                "content-length": str(len(body)),
                "connection": "close",
                "x-request-id": os.urandom(12).hex(),
            }
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(STATUS_LINE[error.status] + lines.encode() + b"\r\n" + body)
        self.transport.close()


def _too_large() -> ApiError:
    return HeadTooLarge(f"Path and headers are larger than {MAX_HEAD_BYTES} bytes. Send less.")
