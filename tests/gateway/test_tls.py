"""Servers behind TLS: whose certificates are believed, and whose are not."""

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.answers import as_vllm
from tests.support.names import Names, naming
from tests.support.programs import program
from tests.support.scripted import ScriptedEngine, running
from tests.support.serving import Served, serving

ASK: dict[str, Any] = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority (`ca.pem`) and a server's certificate for `gpu.test` alone."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "names.txt").write_text("subjectAltName=DNS:gpu.test", encoding="utf-8")
    openssl = program("openssl", "openssl")
    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    signed = ["x509", "-req", "-in", "gpu.csr", "-CA", "ca.pem", "-CAkey", "ca.key"]
    for argv in (
        [*new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test authority"],
        [*new, "-keyout", "gpu.key", "-out", "gpu.csr", "-subj", "/CN=gpu.test"],
        [*signed, "-CAcreateserial", "-extfile", "names.txt", "-out", "gpu.pem"],
    ):
        subprocess.run([openssl, *argv], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls(certificates: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "gpu.pem", certificates / "gpu.key")
    return context


def config(host: str, port: int, rest: str) -> str:
    return f"""
engines: {{lab: {{kind: remote, url: "https://{host}:{port}/v1", {rest}}}}}
models: {{big: {{engine: lab, upstream_model: toy}}}}
"""


async def state(served: Served) -> tuple[str, str]:
    """Return what became of the replica when it was looked at."""
    view = served.gateway.fleet.views

    await served.until(lambda: view("big")[0].state not in ("starting", "failed"))
    return view("big")[0].state, view("big")[0].reason


async def test_a_server_that_our_own_authority_vouches_for_serves(
    certificates: Path, tls: ssl.SSLContext
) -> None:
    """Found by DNS it is connected to by address, and its certificate checked by its name."""
    names = Names({("gpu.test", "A"): ["127.0.0.1"]})
    async with (
        running(ScriptedEngine(answer=as_vllm), tls=tls) as engine,
        naming(names) as nameserver,
    ):
        rest = f'ca: "{certificates / "ca.pem"}", discover: a, nameserver: "{nameserver}"'
        async with serving(config("gpu.test", engine.port, rest)) as served:
            assert await state(served) == ("ready", "")
            assert (await served.http.post("/v1/chat/completions", json=ASK)).status_code == 200


async def test_a_certificate_for_another_name_or_of_nobody_we_know_is_not_believed(
    certificates: Path, tls: ssl.SSLContext
) -> None:
    async with running(ScriptedEngine(answer=as_vllm), tls=tls) as engine:
        ours = f'ca: "{certificates / "ca.pem"}"'
        for rest in ("verify: true", ours):
            async with serving(config("localhost", engine.port, rest)) as served:
                became, why = await state(served)
                assert became == "down"
                assert "certificate" in why.lower()
        assert engine.heard == []


async def test_on_this_machine_a_certificate_may_go_unchecked(tls: ssl.SSLContext) -> None:
    async with (
        running(ScriptedEngine(answer=as_vllm), tls=tls) as engine,
        serving(config("localhost", engine.port, "verify: false")) as served,
    ):
        assert await state(served) == ("ready", "")


async def test_authorities_that_cannot_be_read_are_told_before_anybody_asks() -> None:
    text = config("localhost", 1, 'ca: "./nowhere.pem"')
    async with serving(text) as served:
        (view,) = served.gateway.fleet.views("big")
        assert (view.state, view.reason) == (
            "failed",
            "there is no file 'nowhere.pem', which 'ca' names",
        )
