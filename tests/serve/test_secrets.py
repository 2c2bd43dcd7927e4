"""The gateway's key: taken from the environment, told to nobody."""

import sys
from pathlib import Path

import pytest

from tests.support.process import GatewayProcess, children, gateway_process, run_serve
from tests.support.waiting import until

KEY = "k-very-secret-4711"
CONFIG = 'engines: {cpu: {kind: llamacpp}}\nmodels: {m: {engine: cpu, weights: "demo:qwen"}}'
KEYED = {"authorization": f"Bearer {KEY}"}


@pytest.fixture(params=["WEIGHBRIDGE_API_KEY", "WEIGHBRIDGE_API_KEY_FILE"])
def environ(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The key in the environment, or in a file that it names."""
    if request.param == "WEIGHBRIDGE_API_KEY":
        return {request.param: KEY}
    (tmp_path / "key.txt").write_text(f"{KEY}\n", encoding="utf-8")
    return {request.param: str(tmp_path / "key.txt")}


async def ready(gateway: GatewayProcess) -> None:
    async def is_ready() -> bool:
        async with gateway.client() as http:
            return (await http.get("/ready")).status_code == 200

    await until(is_ready)


async def test_the_key_opens_and_shows_nowhere(environ: dict[str, str], tmp_path: Path) -> None:
    options = ("--log-level", "debug")
    with gateway_process(tmp_path, *options, config=CONFIG, environ=environ) as gateway:
        await ready(gateway)
        async with gateway.client() as http:
            assert (await http.get("/v1/models")).status_code == 401
            wrong = await http.get("/v1/models", headers={"authorization": "Bearer k-wrong"})
            assert wrong.status_code == 401
            assert wrong.json()["error"]["code"] == "invalid_api_key"
            ask = {"model": "m", "messages": [{"role": "user", "content": "Hola"}]}
            answer = await http.post("/v1/chat/completions", json=ask, headers=KEYED)
            assert answer.status_code == 200
            told = [await http.get(path, headers=KEYED) for path in ("/ready", "/metrics")]
        seen = [gateway.banner(), gateway.errors(), answer.text, *(one.text for one in told)]
        seen += children(gateway.pid).values()
        seen += [repr(answer.headers)]
        assert children(gateway.pid)
        assert not any(KEY in text for text in seen)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
async def test_no_child_gets_the_keys_of_servers_elsewhere(tmp_path: Path) -> None:
    config = """
engines:
  cpu: {kind: llamacpp}
  lab: {kind: remote, url: "http://127.0.0.1:9", api_key: "${LAB}"}
models:
  m: {engine: cpu, weights: "demo:qwen"}
  far: {engine: lab}
"""
    with gateway_process(tmp_path, config=config, environ={"LAB": KEY, "OTHER": "seen"}) as gateway:
        await ready(gateway)
        (worker,) = children(gateway.pid)
        inherited = of_process(worker, "environ")
        assert KEY.encode() not in inherited
        assert b"OTHER=seen" in inherited


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
async def test_no_child_gets_the_key(environ: dict[str, str], tmp_path: Path) -> None:
    with gateway_process(tmp_path, config=CONFIG, environ=environ) as gateway:
        await ready(gateway)
        workers = tuple(children(gateway.pid))
        assert workers
        for pid in (gateway.pid, *workers):
            assert KEY.encode() not in of_process(pid, "cmdline")
        for pid in workers:
            inherited = of_process(pid, "environ")
            assert KEY.encode() not in inherited
            assert not [v for v in inherited.split(b"\0") if v.startswith(b"WEIGHBRIDGE_API_KEY")]


def of_process(pid: int, what: str) -> bytes:
    return Path(f"/proc/{pid}/{what}").read_bytes()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"WEIGHBRIDGE_API_KEY": ""}, None),
        ({"WEIGHBRIDGE_API_KEY": "  "}, "empty"),
        ({"WEIGHBRIDGE_API_KEY": "two words"}, "without spaces"),
        ({"WEIGHBRIDGE_API_KEY_FILE": "nowhere"}, "cannot be read"),
        ({"WEIGHBRIDGE_API_KEY": "a", "WEIGHBRIDGE_API_KEY_FILE": "b"}, "keep one"),
        ({"WEIGHBRIDGE_LOG_LEVEL": "loud"}, "WEIGHBRIDGE_LOG_LEVEL"),
    ],
)
def test_a_key_that_cannot_be_one_ends_the_start(
    given: dict[str, str], words: str | None, tmp_path: Path
) -> None:
    ended = run_serve(tmp_path, "--host", "0.0.0.0", environ=given)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert words is None or words in ended.stderr
    assert "two words" not in ended.stderr
