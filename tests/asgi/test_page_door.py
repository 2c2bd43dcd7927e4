"""The door of a server without a key, as pure ASGI."""

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp

from engines.door import PageDoor
from tests.support.asgi import Headers, call, http_scope

INSIDE: ASGIApp = Response("in")
LOCAL = PageDoor(INSIDE)
WIDE = PageDoor(INSIDE, hosts=frozenset({"gpu1"}), any_address=True)


async def status(door: PageDoor, headers: Headers, method: str = "GET") -> int:
    return (await call(door, http_scope(method, "/v1/models", headers))).status


@pytest.mark.parametrize(
    ("host", "local", "wide"),
    [
        ("localhost:8080", 200, 200),
        ("[::1]:8080", 200, 200),
        ("192.0.2.1:8080", 403, 200),
        ("[2001:db8::1]", 403, 200),
        ("gpu1:8080", 403, 200),
        ("evil.example", 403, 403),
        ("192.0.2.1.evil.example", 403, 403),
        ("", 403, 403),
    ],
)
async def test_hosts_are_names_that_nobody_can_rebind(host: str, local: int, wide: int) -> None:
    assert await status(LOCAL, [("host", host)]) == local
    assert await status(WIDE, [("host", host)]) == wide


async def test_a_page_of_the_server_itself_may_call() -> None:
    here = ("host", "localhost:8080")
    assert await status(LOCAL, [here, ("origin", "http://localhost:8080")]) == 200
    assert await status(LOCAL, [here, ("origin", "http://localhost:80")]) == 403
    assert await status(LOCAL, [here, ("host", "evil.example")]) == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_body_is_json_or_refused(method: str) -> None:
    here = ("host", "localhost")
    assert await status(LOCAL, [here], method) == 415
    assert await status(LOCAL, [here, ("content-type", "text/plain")], method) == 415
    json = ("content-type", "Application/JSON; charset=utf-8")
    assert await status(LOCAL, [here, json], method) == 200
