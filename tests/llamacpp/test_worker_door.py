"""A worker by itself on a port: programs come in, web pages do not."""

import subprocess

import pytest

from tests.conftest import WorkerOf
from tests.support.worker import command

CHAT = "/v1/chat/completions"
ASK = b'{"messages":[{"role":"user","content":"Hola"}],"max_tokens":1}'
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        (JSON | {"origin": "http://evil.example"}, 403, "forbidden"),
        (JSON | {"origin": "null"}, 403, "forbidden"),
        (JSON | {"host": "evil.example"}, 403, "forbidden"),
        (JSON | {"host": "localhost@evil.example"}, 403, "forbidden"),
        (JSON | {"host": "192.0.2.1"}, 403, "forbidden"),
        (JSON | {"host": "localhost"}, 200, None),
        (JSON, 200, None),
    ],
)
async def test_a_web_page_cannot_drive_a_worker(
    worker_of: WorkerOf, headers: dict[str, str], status: int, code: str | None
) -> None:
    async with worker_of().client() as http:
        answer = await http.post(CHAT, content=ASK, headers=headers)
        assert answer.status_code == status
        assert code is None or answer.json()["error"]["code"] == code


async def test_what_is_read_is_kept_from_rebound_names_as_well(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        for path in ("/v1/models", "/metrics", "/health"):
            assert (await http.get(path, headers={"host": "evil.example"})).status_code == 403
            assert (await http.get(path)).status_code == 200


def test_other_machines_are_served_only_when_that_is_said() -> None:
    argv = command("--weights", "demo:qwen", "--port", "0", "--host", "0.0.0.0")
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "Pass --no-auth" in ended.stderr
