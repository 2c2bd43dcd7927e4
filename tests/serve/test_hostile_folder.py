"""A working directory full of traps: whatever lies there, the gateway runs its own code."""

from pathlib import Path

import pytest

from tests.support.process import gateway_process, run_command
from tests.support.waiting import until

CONFIG = 'engines: {cpu: {kind: llamacpp}}\nmodels: {m: {engine: cpu, weights: "demo:qwen"}}'
# What the gateway or a worker imports, and what Python itself looks for.
MODULES = (
    "click",
    "encodings",
    "fastapi",
    "httptools",
    "jinja2",
    "json",
    "llama_cpp",
    "logging",
    "msgspec",
    "numpy",
    "os",
    "prometheus_client",
    "pydantic",
    "sitecustomize",
    "starlette",
    "usercustomize",
    "uvicorn",
    "uvloop",
    "yaml",
)
PACKAGES = ("engines", "engines/llamacpp", "gateway", "gateway/cli", "weighbridge", "asyncio")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """Return a folder whose code, when it is run, leaves a file called `caught`."""
    caught = tmp_path / "caught"
    code = f"open({str(caught)!r}, 'a').write(__name__ + '\\n')\n"
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    for name in PACKAGES:
        (folder / name).mkdir()
        for file in ("__init__.py", "__main__.py"):
            (folder / name / file).write_text(code, encoding="utf-8")
    (folder / "pyvenv.cfg").write_text("home = .\n", encoding="utf-8")
    (folder / "trap.pth").write_text(f"import sys; exec({code!r})\n", encoding="utf-8")
    (folder / ".env").write_text("WEIGHBRIDGE_API_KEY=theirs\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_no_code_of_the_working_directory_is_run(trap: Path, workers: str) -> None:
    ask = {"model": "m", "messages": [{"role": "user", "content": "Hola"}]}
    with gateway_process(trap, "--workers", workers, config=CONFIG) as gateway:
        async with gateway.client() as http:

            async def ready() -> bool:
                return (await http.get("/ready")).status_code == 200

            await until(ready)
            assert (await http.post("/v1/chat/completions", json=ask)).status_code == 200
    assert not (trap.parent / "caught").exists()


@pytest.mark.parametrize("argv", [("--help",), ("models", "--catalogue"), ("route", "hello")])
def test_no_other_command_runs_it_either(trap: Path, argv: tuple[str, ...]) -> None:
    (trap / "routing.yaml").write_text(CONFIG, encoding="utf-8")
    assert run_command(trap, *argv).returncode == 0
    assert not (trap.parent / "caught").exists()
