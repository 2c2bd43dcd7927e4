"""Calling a pure ASGI application as a server does, without one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message

Headers = Sequence[tuple[str, str]]


@dataclass
class Sent:
    """What an application sent."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    def error(self) -> dict[str, Any]:
        """Return the inside of an error, which must have OpenAI's shape and nothing else."""
        told = msgspec.json.decode(self.body, type=dict[str, dict[str, Any]])
        assert list(told) == ["error"]
        assert set(told["error"]) == {"message", "type", "param", "code"}
        return told["error"]


def http_scope(method: str = "GET", path: str = "/v1/models", headers: Headers = ()) -> Message:
    """Return the scope of a request, header names in lower case as servers give them."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "headers": [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers],
    }


async def call(app: ASGIApp, scope: Message) -> Sent:
    """Let an application answer a request that has no body."""
    sent = Sent()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.messages.append(message)

    await app(scope, receive, send)
    return sent
