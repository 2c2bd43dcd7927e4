"""What a line of the log looks like, for people and for programs."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.cli.logs import set_up_logs
from gateway.middleware import RequestIds
from tests.support.asgi import call, http_scope
from tests.support.serving import serving

NOBODY = """
engines: {lab: {kind: remote, url: "http://127.0.0.1:9/v1"}}
models: {big: {engine: lab}}
"""


@contextmanager
def logging_to(level: str, form: str, *, access_log: bool) -> Iterator[io.StringIO]:
    """Log as `serve` does, and to nobody else; yields what is logged."""
    root, access = logging.getLogger(), logging.getLogger("weighbridge.access")
    stream = io.StringIO()
    handlers, root_level, root.handlers = root.handlers, root.level, []
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stderr", stream)
            set_up_logs(level, form, access_log=access_log)
        yield stream
    finally:
        root.handlers = handlers
        root.setLevel(root_level)
        access.disabled = False


def told(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_a_request_is_an_object_with_its_fields() -> None:
    with logging_to("info", "json", access_log=True) as lines:
        async with serving(NOBODY) as served:
            await served.http.get("/v1/models", headers={"x-request-id": "mine"})
    (line,) = [one for one in told(lines) if one["logger"] == "weighbridge.access"]
    assert line["level"] == "info"
    assert line["message"].startswith("GET /v1/models 200 ")
    fields = {name: line[name] for name in ("method", "path", "status", "client", "request_id")}
    assert fields == {
        "method": "GET",
        "path": "/v1/models",
        "status": 200,
        "client": "127.0.0.1",
        "request_id": "mine",
    }
    assert 0 <= line["duration_s"] < 60
    assert line["time"].endswith("+00:00")


async def test_a_traceback_is_a_field_and_no_second_line() -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the inside\n")

    with logging_to("warning", "json", access_log=False) as lines:
        await call(RequestIds(broken), http_scope())
    (line,) = told(lines)
    assert line["level"] == "error"
    assert "RuntimeError: the inside" in line["exception"]


async def test_a_line_for_people_says_who_asked() -> None:
    with logging_to("info", "text", access_log=True) as lines:
        async with serving(NOBODY) as served:
            await served.http.get("/v1/models", headers={"x-request-id": "mine"})
    assert " INFO weighbridge.access: GET /v1/models 200 " in lines.getvalue()
    assert "model=- rule=- client=127.0.0.1 id=mine\n" in lines.getvalue()


async def test_without_the_access_log_requests_leave_no_line() -> None:
    with logging_to("info", "json", access_log=False) as lines:
        async with serving(NOBODY) as served:
            await served.http.get("/v1/models")
    assert not [one for one in told(lines) if one["logger"] == "weighbridge.access"]
