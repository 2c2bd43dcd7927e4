"""An engine that answers at once, so that what is measured is never the engine.

    python -m gateway.overhead.fake_engine     # prints its port

Owns: the answers. Must not: be more of an engine than the gateway needs.
"""

import asyncio
import contextlib
from typing import cast

import httptools
import uvloop

MODEL = "fake"
EVENTS = 128  # of each stream, the one with `usage` and `[DONE]` not counted

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n"
_MODELS = b'{"object":"list","data":[{"id":"fake","object":"model","max_model_len":131072}]}'
_WHOLE = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"fake","choices":['
    b'{"index":0,"message":{"role":"assistant","content":"Weighed and found in order."},'
    b'"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":24,"completion_tokens":128,"total_tokens":152}}'
)
_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"fake",'
    b'"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
_LAST = _CHUNK.replace(b'{"content":" word"},"finish_reason":null', b'{},"finish_reason":"stop"')
_USAGE = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"fake",'
    b'"choices":[],"usage":{"prompt_tokens":24,"completion_tokens":128,"total_tokens":152}}\n\n'
    b"data: [DONE]\n\n"
)


def _whole(body: bytes) -> bytes:
    head = _HEAD % b"application/json" + b"content-length: %d\r\n\r\n" % len(body)
    return head + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_STREAM_HEAD = _HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"
_EVENT = _chunk(_CHUNK)
_END = _chunk(_LAST + _USAGE) + b"0\r\n\r\n"


class _Connection(asyncio.Protocol):
    """Answers one request after the other; each event of a stream is a write of its own."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._path = b""
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path, self._body = url, b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._path.endswith(b"/models"):
            self._transport.write(_whole(_MODELS))
        elif b'"stream":true' in self._body.replace(b" ", b""):
            self._transport.write(_STREAM_HEAD)
            self._say(EVENTS - 1)
        else:
            self._transport.write(_whole(_WHOLE))

    def _say(self, left: int) -> None:
        """Write one event in each turn of the loop, so that streams take turns."""
        if self._transport.is_closing():
            return
        if left:
            self._transport.write(_EVENT)
            self._loop.call_soon(self._say, left - 1)
        else:
            self._transport.write(_END)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed; nothing is said of an interrupt."""
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve())


if __name__ == "__main__":
    main()
