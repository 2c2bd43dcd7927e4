"""A real nginx with the example: streams pass as they come, metrics stay inside."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.support.programs import program
from tests.support.scripted import ScriptedEngine, events_play, json_play, running

_WHOLE = """
daemon off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include {file};
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def written(folder: Path, example: Path, *, upstream: int, port: int) -> Path:
    """Write a whole configuration around the example, with ports and a certificate of the test."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    make += ["-keyout", "privkey.pem", "-out", "fullchain.pem"]
    subprocess.run(make, cwd=folder, check=True, capture_output=True)
    text = example.read_text(encoding="utf-8")
    for ours, theirs in (
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/nginx/tls", str(folder)),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    (folder / "example.conf").write_text(text, encoding="utf-8")
    whole = folder / "nginx.conf"
    whole.write_text(_WHOLE.format(file=folder / "example.conf"), encoding="utf-8")
    return whole


@asynccontextmanager
async def nginx(folder: Path, example: Path, upstream: int) -> AsyncIterator[httpx.AsyncClient]:
    """Run nginx until the block ends."""
    command = program("nginx", "nginx-light")
    program("openssl", "openssl")
    port = free_port()
    config = written(folder, example, upstream=upstream, port=port)
    argv = [command, "-e", "stderr", "-p", str(folder), "-c", str(config)]
    child = await asyncio.create_subprocess_exec(*argv)
    trust = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
    trust.check_hostname = False
    transport = httpx.AsyncHTTPTransport(verify=trust, retries=8)  # until it listens
    try:
        async with httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{port}", transport=transport
        ) as http:
            yield http
    finally:
        child.terminate()
        await child.wait()


async def test_an_event_passes_before_the_next_one_is_made(deploy: Path, tmp_path: Path) -> None:
    more = asyncio.Event()
    async with (
        running(ScriptedEngine()) as engine,
        nginx(tmp_path, deploy / "nginx/weighbridge.conf", engine.port) as http,
    ):
        engine.plays.append(events_play(b"data: 1\n\n", more, b"data: [DONE]\n\n"))
        async with http.stream("POST", "/v1/chat/completions", json={"stream": True}) as answer:
            pieces = answer.aiter_bytes()
            assert await anext(pieces) == b"data: 1\n\n"
            more.set()
            assert await anext(pieces) == b"data: [DONE]\n\n"


async def test_metrics_are_not_for_the_outside(deploy: Path, tmp_path: Path) -> None:
    async with (
        running(ScriptedEngine()) as engine,
        nginx(tmp_path, deploy / "nginx/weighbridge.conf", engine.port) as http,
    ):
        engine.plays.append(json_play({}))
        assert (await http.post("/v1/chat/completions", json={})).status_code == 200
        assert (await http.get("/metrics")).status_code == 404
        assert [heard.path for heard in engine.heard] == ["/v1/chat/completions"]
