"""The server's side of HTTP/1.1, before a request is one: bounds, and the words of a refusal.

Owns: how large a path and its headers may be; the answer to bytes that are no request; requests
that offer to go on in another protocol, which we decline.
Must not: know endpoints; what is a request goes to `gateway.middleware`.
"""

import logging
import os

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import ApiError, HeadTooLarge, InvalidRequest
from gateway.rendering import headers_of

MAX_HEAD_BYTES = 64 * 1024
_access = logging.getLogger("weighbridge.access")


class _TooLarge(Exception):
    """Raised inside the parser, which then stops."""


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which has no limit of its own, with one; refusals in OpenAI's shape."""

    _head_open = False
    _head_bytes = 0
    _waiting_bytes = 0  # received for a head whose end has not come: the parser holds them
    _head_known = False

    def data_received(self, data: bytes) -> None:
        """Parse; a head that never ends is refused once it is too large."""
        self._unset_keepalive_if_required()
        was_open = self._head_open
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if was_open and self._head_open:
            self._waiting_bytes += len(data)
            if self._waiting_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(_too_large())

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                self._decline_upgrade()
                data = data[offer.args[0] :]
            else:
                return

    def _decline_upgrade(self) -> None:
        """Go on in HTTP/1.1 after a head that offers more, as Java's client does with every POST.

        httptools takes such a request to have no body. A new parser is told the parts of the head
        that say how long the body is, and reads on.
        """
        head = [self.scope["method"].encode() + b" / HTTP/1.1"]
        for name, value in self.headers:
            if name in (b"content-length", b"transfer-encoding"):
                head.append(name + b": " + value)
        self.parser = httptools.HttpRequestParser(self)
        self._head_known = True
        try:
            self.parser.feed_data(b"\r\n".join((*head, b"", b"")))
        finally:
            self._head_known = False

    def on_message_begin(self) -> None:
        """Count anew."""
        if self._head_known:
            return
        self._head_open = True
        self._head_bytes = self._waiting_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count and keep a part of the path."""
        if self._head_known:
            return
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count and keep a header; one after the body (a trailer) counts as well."""
        if self._head_known:
            return
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request over."""
        if self._head_known:
            return
        self._head_open = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the body, unless it only seems to have none: see `_decline_upgrade`."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused, and close."""
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_too_large())
        else:
            self._refuse(InvalidRequest(f"{msg} This port speaks HTTP/1.1.", code="no_http"))

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _TooLarge

    def _refuse(self, error: ApiError) -> None:
        """Answer and close; in the middle of another answer only close."""
        free = getattr(self.cycle, "response_complete", True)  # there is no cycle at first
        if free:
            body = error.body()
            request_id = os.urandom(12).hex()
            _access.info("no request %d %s id=%s", error.status, error.code, request_id)
            headers = headers_of(error) | {
                "content-length": str(len(body)),
                "connection": "close",
                "x-request-id": request_id,
            }
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(STATUS_LINE[error.status] + lines.encode() + b"\r\n" + body)
        self.transport.close()


def _too_large() -> ApiError:
    return HeadTooLarge(f"Path and headers are larger than {MAX_HEAD_BYTES} bytes. Send less.")
