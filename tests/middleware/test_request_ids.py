"""Request ids, the access log, and what happens to what nobody caught."""

import asyncio
import logging

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gateway.middleware import RequestIds
from tests.support.asgi import call, http_scope


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


@pytest.mark.parametrize("asked", ["a", "req_1.2:3-4", "A" * 128])
async def test_a_proper_id_is_kept(asked: str) -> None:
    sent = await call(RequestIds(hello), http_scope(headers=[("X-Request-Id", asked)]))
    assert sent.headers["x-request-id"] == asked


@pytest.mark.parametrize("asked", ["", "a b", "A" * 129, "é", "a;b", '"', "<x>", "a\r\nb: c"])
async def test_any_other_id_is_replaced(asked: str) -> None:
    sent = await call(RequestIds(hello), http_scope(headers=[("X-Request-Id", asked)]))
    assert len(sent.headers["x-request-id"]) == 24
    assert sent.headers["x-request-id"].isalnum()


@pytest.mark.parametrize("path", ["/a\r\nFAKE 200", "/a\nb", "/\x1b[31m", "/\x00", "/é\u2028b"])
async def test_a_line_of_the_log_stays_one_line(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "weighbridge.access"):
        await call(RequestIds(hello), {**http_scope(path=path), "raw_path": b""})
        await call(RequestIds(hello), http_scope(path=path))
    assert len(caplog.messages) == 2
    for line in caplog.messages:
        assert line.isascii()
        assert line.isprintable()
        assert " 200 " in line


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_probes_are_logged_where_they_fail_or_everything_is(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def down(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("down", 503)(scope, receive, send)

    with caplog.at_level(logging.INFO, "weighbridge.access"):
        await call(RequestIds(hello), http_scope(path=path))
        assert not caplog.messages
        await call(RequestIds(down), http_scope(path=path))
        assert " 503 " in caplog.messages[0]
    with caplog.at_level(logging.DEBUG, "weighbridge.access"):
        await call(RequestIds(hello), http_scope(path=path))
    assert " 200 " in caplog.messages[1]


async def test_a_long_path_is_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "weighbridge.access"):
        await call(RequestIds(hello), http_scope(path="/" + "x" * 100_000))
    assert len(caplog.messages[0]) < 400


async def test_a_defect_is_answered_without_details_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the inside")

    sent = await call(RequestIds(broken), http_scope())
    assert sent.status == 500
    assert sent.error()["code"] == "internal_error"
    assert b"inside" not in sent.body
    (line,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert sent.headers["x-request-id"] in line.getMessage()
    assert line.exc_info is not None


async def test_a_defect_after_the_answer_has_begun_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("the inside")

    sent = await call(RequestIds(broken), http_scope())
    assert len(sent.messages) == 1
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1


async def test_a_request_that_the_gateways_end_cancels_is_told_so() -> None:
    async def waiting(*_: object) -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(call(RequestIds(waiting), http_scope()))
    asyncio.get_running_loop().call_soon(task.cancel)
    sent = await task
    assert sent.status == 503
    assert sent.error()["code"] == "gateway_stopping"
    assert sent.headers["x-should-retry"] == "true"
