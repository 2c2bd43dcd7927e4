"""A gateway where much is not as usual: names, locale, umask, proxies, limits, folders."""

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.weights import resolve
from tests.support.process import gateway_process, run_command

CONFIG = """
gateway: {max_connections: 400}
engines: {cpu: {kind: llamacpp, prefix_cache_dir: "./önbellek"}}
models: {m: {engine: cpu, weights: "./modèle çift.gguf", aliases: ["İstanbul"]}}
routes: [{name: "kural ş", use: m}]
"""
NOBODY = "http://127.0.0.1:9"
ODD = {
    "LANG": "tr_TR",
    "LC_ALL": "C",
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), NOBODY),
}


@contextmanager
def few_files(soft: int) -> Iterator[None]:
    """Let children begin with so many open files, which they may raise."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def kept_in(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


def limits_of(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text(encoding="ascii")


async def test_names_locale_proxies_and_few_files_keep_nobody_from_being_served(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "Ö ş dir"
    folder.mkdir()
    shutil.copyfile(resolve("demo:qwen", tmp_path), folder / "modèle çift.gguf")
    with few_files(256):
        with gateway_process(folder, config=CONFIG, environ=ODD) as gateway:
            async with gateway.client(trust_env=False) as http:
                body = {"model": "İstanbul", "messages": [{"role": "user", "content": "Merhaba"}]}
                answer = await http.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200, answer.text
                auto = await http.post("/v1/chat/completions", json=body | {"model": "auto"})
                assert auto.headers["x-weighbridge-rule"] == "kural %C5%9F"
            files = limits_of(gateway.pid)
            listed = run_command(folder, "models", "--url", gateway.url, environ=ODD)
            assert listed.returncode == 0, listed.stderr
        assert "1056" in next(line for line in files.splitlines() if "open files" in line)
    assert kept_in(folder / "önbellek")
