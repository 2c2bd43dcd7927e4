"""A whole gateway on a real socket: hostile bytes, foreign pages, every kind of error."""

import asyncio
import logging
import re
from collections.abc import Iterable

import msgspec
import pytest
from pydantic import SecretStr

from gateway.api import pages
from gateway.middleware import DoorRules
from gateway.wire.line import MAX_HEAD_BYTES
from tests.support.answers import as_vllm
from tests.support.scripted import ScriptedEngine, running
from tests.support.serving import Served, serving

CONFIG = """
gateway: {body_limit_bytes: 1000}
engines: {lab: {kind: remote, url: "http://127.0.0.1:9/v1", health_interval_s: 60}}
models: {big: {engine: lab}}
"""
PAGE = "https://chat.example"
KEYED = DoorRules(key=SecretStr("k-secret"), any_host=True)
ASK = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}


def port_of(served: Served) -> int:
    return int(served.url.rpartition(":")[2])


async def raw(served: Served, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are on a connection of their own; return status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(served))
    try:
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split(" ")[1]), headers, body
    finally:
        writer.close()


def request(*headers: str, target: str = "/health", method: str = "GET") -> bytes:
    lines = (f"{method} {target} HTTP/1.1", *headers, "", "")
    return "\r\n".join(lines).encode("latin-1")


def code_in(body: bytes) -> object:
    """Return the code of an error in OpenAI's shape."""
    error = msgspec.json.decode(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["code"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Host: localhost"], 200),
        (["Host: LocalHost.:1"], 200),
        (["Host: [::1]:8000"], 200),
        (["Host: evil.example"], 403),
        (["Host: evil.example:8000"], 403),
        (["Host: localhost@evil.example"], 403),
        (["Host: evil.example@localhost"], 403),
        ([], 403),
        (["Host: localhost", "Host: evil.example"], 403),
        (["Host: localhost", "Origin: null"], 403),
        (["Host: localhost", "Origin: http://evil.example"], 403),
        (["Host: localhost:1", "Origin: http://localhost:1"], 200),
        (["Host: localhost:1", "Origin: http://localhost:2"], 403),
    ],
)
async def test_a_web_page_cannot_drive_a_local_gateway(headers: list[str], status: int) -> None:
    async with serving(CONFIG) as served:
        answer, told, body = await raw(served, request(*headers))
        assert answer == status
        assert told["x-request-id"]
        if status != 200:
            assert code_in(body) == "forbidden"


async def test_a_form_of_a_foreign_page_is_refused() -> None:
    async with serving(CONFIG) as served:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = await served.http.post(
                "/v1/chat/completions", content=b"{}", headers={"content-type": kind}
            )
            assert answer.status_code == 415
            assert answer.headers["x-request-id"]


async def test_an_allowed_page_can_ask_first_and_then_read_the_answer() -> None:
    rules = DoorRules(key=KEYED.key, any_host=True, origins=frozenset({PAGE}))
    preflight = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    async with (
        running(ScriptedEngine(models=("big",), answer=as_vllm)) as engine,
        serving(CONFIG.replace("http://127.0.0.1:9/v1", engine.url), rules) as served,
    ):
        asked = await served.http.options("/v1/chat/completions", headers=preflight)
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == PAGE
        assert "authorization" in asked.headers["access-control-allow-headers"].lower()
        assert asked.headers["x-request-id"]
        page = {"origin": PAGE, "authorization": "Bearer k-secret"}
        told = await served.http.get("/v1/models", headers=page)
        assert told.status_code == 200
        assert told.headers["access-control-allow-origin"] == PAGE
        exposed = told.headers["access-control-expose-headers"].split(", ")
        assert {"x-request-id", "retry-after", "x-should-retry"} <= set(exposed)
        refused = await served.http.get("/v1/models", headers={"origin": PAGE})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == PAGE


async def test_another_page_is_told_nothing_even_where_one_is_allowed() -> None:
    rules = DoorRules(origins=frozenset({PAGE}))
    foreign = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    async with serving(CONFIG, rules) as served:
        for answer in (
            await served.http.options("/v1/chat/completions", headers=foreign),
            await served.http.get("/v1/models", headers=foreign),
        ):
            assert answer.status_code in (400, 403)
            assert "access-control-allow-origin" not in answer.headers


async def test_a_preflight_without_allowed_origins_allows_nothing() -> None:
    async with serving(CONFIG) as served:
        answer = await served.http.options(
            "/v1/chat/completions",
            headers={"origin": PAGE, "access-control-request-method": "POST"},
        )
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


async def test_with_a_key_probes_are_open_and_the_rest_is_not() -> None:
    async with serving(CONFIG, KEYED) as served:
        for path in ("/health", "/ready"):
            answer = await served.http.get(path)
            assert list(answer.json()) == ["status"]
        for path in ("/docs", "/openapi.json"):
            assert (await served.http.get(path)).status_code == 200
        for path in ("/metrics", "/v1/models", "/nothing"):
            assert (await served.http.get(path)).status_code == 401
            keyed = await served.http.get(path, headers={"authorization": "Bearer k-secret"})
            assert keyed.status_code == (404 if path == "/nothing" else 200)
            assert "k-secret" not in keyed.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/models/nobody", 404, "model_not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/health", 405, "method_not_allowed"),
        ("OPTIONS", "/health", 405, "method_not_allowed"),
        ("PUT", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/chat/completions/", 404, "not_found"),
        ("GET", "//evil.example/%2e%2e/etc/passwd", 404, "not_found"),
        ("GET", "/%00%0d%0aset-cookie:%20a=b", 404, "not_found"),
        ("GET", "/" + "x" * 10_000, 404, "not_found"),
    ],
)
async def test_every_error_has_openais_shape_and_an_id(
    method: str, path: str, status: int, code: str
) -> None:
    async with serving(CONFIG) as served:
        answer = await served.http.request(
            method, path, headers={"content-type": "application/json"}, content=b"{}"
        )
        assert answer.status_code == status
        assert code_in(answer.content) == code
        assert answer.headers["x-request-id"]
        assert "set-cookie" not in answer.headers
        assert ("allow" in answer.headers) is (status == 405)
        assert len(answer.content) < 1_000


async def test_a_body_beyond_the_limit_is_refused_with_an_id() -> None:
    async with serving(CONFIG) as served:
        answer = await served.http.post("/v1/chat/completions", json=ASK | {"user": "u" * 2_000})
        assert answer.status_code == 413
        assert code_in(answer.content) == "body_too_large"
        assert answer.headers["x-request-id"]


async def test_a_defect_is_a_500_without_details_and_one_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_gateway: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr(pages, "readiness", broken)
    async with serving(CONFIG) as served:
        answer = await served.http.get("/ready")
        assert answer.status_code == 500
        assert code_in(answer.content) == "internal_error"
        assert "inside" not in answer.text
        (line,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert answer.headers["x-request-id"] in line.getMessage()
        assert line.exc_info is not None
        assert (await served.http.get("/health")).status_code == 200


async def test_a_defect_in_a_generation_is_told_alike(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(CONFIG) as served:
        monkeypatch.delattr(served.gateway.selector.__class__, "choose")
        answer = await served.http.post("/v1/chat/completions", json=ASK)
        assert answer.status_code == 500
        assert code_in(answer.content) == "internal_error"
        assert answer.headers["x-should-retry"] == "false"
        (line,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert answer.headers["x-request-id"] in line.getMessage()


async def test_head_of_a_probe_has_no_body() -> None:
    async with serving(CONFIG) as served:
        for path in ("/health", "/ready"):
            answer = await served.http.head(path)
            assert answer.status_code == (await served.http.get(path)).status_code
            assert answer.content == b""


async def test_a_websocket_is_refused_politely(caplog: pytest.LogCaptureFixture) -> None:
    upgrade = request(
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        target="/v1/realtime",
    )
    async with serving(CONFIG) as served:
        status, headers, body = await raw(served, upgrade)
        assert status == 404
        assert code_in(body) == "not_found"
        assert headers["x-request-id"]
        warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert {r.name for r in warnings} <= {"weighbridge.engine"}  # nobody serves behind it


async def test_an_offer_to_speak_http_2_is_declined_and_the_body_read() -> None:
    """Java's client makes it with every request; each is answered, whole or in pieces."""
    body = msgspec.json.encode(ASK | {"messages": []})
    head = request(
        "Host: localhost",
        "Content-Type: application/json",
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
        f"Content-Length: {len(body)}",
        target="/v1/chat/completions",
        method="POST",
    )
    chunked = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    in_chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    plain = request("Host: localhost")
    async with serving(CONFIG) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(served))
        for pieces, status in (
            ((head, body), b"400"),
            ((head + body,), b"400"),
            ((head, body[:10], body[10:]), b"400"),
            ((chunked, in_chunks), b"400"),
            (
                (plain.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),),
                b"200",
            ),
            ((plain,), b"200"),
        ):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert answer.split()[1] == status
            length = re.search(rb"content-length: (\d+)", answer)
            assert length is not None
            told = await reader.readexactly(int(length[1]))
            assert status == b"200" or b"'messages'" in told
        writer.close()


async def test_many_offers_in_one_packet_are_each_declined() -> None:
    offer = request("Host: localhost", "Connection: upgrade", "Upgrade: x")
    async with serving(CONFIG) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(served))
        writer.write(offer * 1_500)
        for _ in range(1_500):
            assert (await asyncio.wait_for(reader.readuntil(b'"ok"}'), 10)).count(b" 200 ") == 1
        writer.close()


def endless() -> Iterable[bytes]:
    yield b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: "
    for _ in range(64):
        yield b"x" * 16_384


@pytest.mark.parametrize(
    "sent",
    [
        [request("Host: localhost", f"X-Long: {'x' * MAX_HEAD_BYTES}")],
        [request("Host: localhost", *(f"X-{i}: {'x' * 100}" for i in range(1_000)))],
        [request("Host: localhost", target="/" + "x" * MAX_HEAD_BYTES)],
        endless(),
    ],
)
async def test_a_head_that_is_too_large_is_refused(sent: Iterable[bytes]) -> None:
    async with serving(CONFIG) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(served))
        try:
            for piece in sent:
                writer.write(piece)
            answer = await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            answer = b""  # closed while we were still sending
        finally:
            writer.close()
        if answer:
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 431 ")
            assert b"x-request-id: " in head
            assert code_in(body) == "headers_too_large"
        assert (await served.http.get("/health")).status_code == 200


async def test_a_long_but_decent_head_passes() -> None:
    async with serving(CONFIG) as served:
        headers = ("Host: localhost", f"X-Long: {'x' * 30_000}")
        assert (await raw(served, request(*headers)))[0] == 200


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client's hello
        b"HELO mail.example\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\n0\r\n\r\n",
        b"GET /hea lth HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_in_openais_shape(junk: bytes) -> None:
    async with serving(CONFIG) as served:
        status, headers, body = await raw(served, junk)
        assert status == 400
        assert code_in(body) == "no_http"
        assert headers["x-request-id"]
        assert headers["connection"] == "close"


async def test_pipelined_requests_are_each_answered() -> None:
    async with serving(CONFIG) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(served))
        writer.write(request("Host: localhost") * 2 + request("Host: evil.example"))
        statuses = []
        for _ in range(3):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            statuses.append(head.split()[1])
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            await reader.readexactly(int(length[1]))
        writer.close()
        assert statuses == [b"200", b"200", b"403"]


async def test_a_client_that_speaks_http_1_0_is_served() -> None:
    async with serving(CONFIG) as served:
        old = b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n"
        status, headers, _ = await raw(served, old)
        assert (status, headers["connection"]) == (200, "close")


async def test_the_log_tells_each_request_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "weighbridge.access"):
        async with serving(CONFIG, KEYED) as served:
            hostile = "/%0d%0a2026-01-01 INFO GET /admin 200"
            await served.http.get(hostile, headers={"x-request-id": "mine"})
            await served.http.get("/v1/models?key=k-secret")
    lines = [r.getMessage() for r in caplog.records if r.name == "weighbridge.access"]
    assert len(lines) == 2
    assert lines[0].startswith("GET /%0d%0a2026-01-01%20INFO%20GET%20/admin%20200 401 ")
    assert lines[0].endswith("id=mine")
    assert not any("k-secret" in line for line in lines)
