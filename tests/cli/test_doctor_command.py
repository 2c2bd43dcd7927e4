"""`weighbridge doctor`, on machines that are well and on what is really broken."""

import asyncio
import platform
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from engines.demo import weights_path
from engines.platform import Gpu
from gateway.cli import doctor_build
from gateway.cli import doctor_checks as checks
from gateway.cli.doctor import doctor
from tests.support.serving import serving

_FILE = """
gateway: {{port: {port}}}
engines: {{cpu: {{kind: llamacpp, context: 512, parallel: 1}}}}
models: {{a: {{weights: "{weights}", engine: cpu}}}}
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", str(tmp_path / "cache"))


def _looks(
    tmp_path: Path, weights: str = "demo:llama", port: int = 0
) -> tuple[int, dict[str, Any]]:
    path = tmp_path / "routing.yaml"
    path.write_text(_FILE.format(weights=weights, port=port), encoding="utf-8")
    result = CliRunner().invoke(doctor, ["--config", str(path), "--json"])
    return result.exit_code, {one["what"]: one for one in msgspec.json.decode(result.output)}


def test_what_is_well_is_said_to_be(tmp_path: Path) -> None:
    code, found = _looks(tmp_path)
    assert code == 0
    assert found["weights of a"]["verdict"] == "ok"
    assert found["memory"]["said"] == "all models fit at once"
    assert "built with" in found["llama.cpp"]["said"]


def test_a_host_that_is_no_address_fails() -> None:
    found = checks.port("ü..b", 8000)
    assert (found.verdict, found.said) == ("fail", "'ü..b' is no address")


def test_a_port_that_is_taken_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code, found = _looks(tmp_path, port=listener.getsockname()[1])
    assert code == 1
    assert found["port"]["verdict"] == "fail"
    assert "gateway.port" in found["port"]["remedy"]


async def test_a_port_that_is_taken_by_a_gateway_is_no_fault(tmp_path: Path) -> None:
    """Whoever looks after a gateway runs this beside it."""
    nobody = "engines: {lab: {kind: remote, url: 'http://127.0.0.1:9'}}\nmodels: {m: {engine: lab}}"
    async with serving(nobody) as served:
        number = int(served.url.rpartition(":")[2])
        code, found = await asyncio.to_thread(_looks, tmp_path, port=number)
    assert code == 0
    assert found["port"]["verdict"] == "warn"
    assert "a gateway serves there" in found["port"]["said"]


def test_weights_that_are_not_there_fail(tmp_path: Path) -> None:
    code, found = _looks(tmp_path, "gone.gguf")
    assert code == 1
    assert "gone.gguf" in found["weights of a"]["said"]


def test_weights_that_are_cut_fail(tmp_path: Path) -> None:
    whole = shutil.copy(weights_path("llama"), tmp_path / "cut.gguf")
    with Path(whole).open("r+b") as file:
        file.truncate(100_000)
    code, found = _looks(tmp_path, "cut.gguf")
    assert code == 1
    assert "truncated" in found["weights of a"]["said"]


def test_a_file_that_cannot_be_read_fails_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text("engines: {cpu: {kind: llamacppp}}\n", encoding="utf-8")
    result = CliRunner().invoke(doctor, ["--config", str(path)])
    assert result.exit_code == 1
    assert "routing.yaml:1" in result.output


def test_too_few_open_files_fail() -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128));"
        "from gateway.cli.doctor_checks import open_files; print(open_files(8448).verdict)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "fail"
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] != 128


def test_a_proxy_that_cannot_be_used_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("all_proxy", "socks://127.0.0.1:9")
    (found,) = checks.hub({})
    assert found.verdict == "warn"
    assert "HTTPS_PROXY" in found.remedy


def test_a_hub_that_does_not_answer_is_a_warning() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        environ = {"HF_ENDPOINT": f"http://127.0.0.1:{closed.getsockname()[1]}"}
        (found,) = checks.hub(environ)
    assert (found.what, found.verdict) == ("hub", "warn")


def test_a_clock_that_is_off_is_a_warning() -> None:
    date = "Sat, 28 Nov 2026 22:00:00 GMT"
    right_s = 1_795_903_200
    assert checks.clock(date, right_s).verdict == "ok"
    assert checks.clock(date, right_s + 600).verdict == "warn"


def test_a_build_without_what_the_processor_knows_is_a_warning() -> None:
    known = frozenset({"avx2", "avx512f"})
    assert (
        doctor_build.read_build("CPU : AVX2 = 1 | AVX512 = 1 | OPENMP = 1 |", known).verdict == "ok"
    )
    poor = doctor_build.read_build("CPU : AVX2 = 1 | OPENMP = 1 |", known)
    assert poor.verdict == "warn"
    assert "without AVX512" in poor.said


_NVIDIA = Gpu(0, "made up", 80 << 30, 80 << 30, "GPU-1a2b")
_AMD = Gpu(0, "made up", 16 << 30, 16 << 30)


@pytest.mark.parametrize(
    ("text", "cards", "mac", "verdict", "words"),
    [
        ("1 CUDA0 CUDA1 CPU", (_NVIDIA,), False, "ok", "CUDA0, CUDA1"),
        ("1 MTL0 BLAS CPU", (), True, "ok", "MTL0"),
        ("0 CPU", (), False, "ok", "is built for the CPU"),
        ("0 CPU", (_NVIDIA,), False, "warn", "CMAKE_ARGS=-DGGML_CUDA=on"),
        ("0 CPU", (_AMD,), False, "warn", "CMAKE_ARGS=-DGGML_HIP=on"),
        ("0 CPU", (), True, "warn", "CMAKE_ARGS=-DGGML_METAL=on"),
        ("1 CPU", (_NVIDIA,), False, "warn", "finds none"),
    ],
)
def test_whether_layers_can_go_to_a_gpu_and_what_else_to_build(
    text: str, cards: tuple[Gpu, ...], verdict: str, words: str, *, mac: bool
) -> None:
    found = doctor_build.read_offload(text, cards, mac=mac)
    assert found.verdict == verdict
    assert words in f"{found.said} {found.remedy}"


def test_a_python_whose_interpreter_is_a_library_is_told(tmp_path: Path) -> None:
    """Both are well: nobody has to install another Python, but whoever counts CPU may want to."""
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f10 r-xp 00000000 08:01 1 /usr/lib/libpython3.11.so.1.0\n", "utf-8")
    apart = doctor_build.python(maps)
    maps.write_text("7f00-7f10 r-xp 00000000 08:01 1 /usr/bin/python3.11\n", "utf-8")
    within = doctor_build.python(maps)
    assert apart.verdict == within.verdict == "ok"
    assert "shared library" in apart.said
    assert within.said == doctor_build.python(tmp_path / "none").said == platform.python_version()


def test_the_installed_llama_cpp_says_where_it_computes() -> None:
    build, offload = doctor_build.build()
    assert build.said.startswith("built with ")
    assert offload.what == "offload"
    assert "llama.cpp" in offload.said or "layers" in offload.said


def test_engines_with_layers_for_gpus_want_some() -> None:
    (none,) = checks.gpu_layers("l", None, (), mac=False)
    assert (none.verdict, none.what) == ("warn", "GPUs of l")
    (wrong,) = checks.gpu_layers("l", (0, 3), (_NVIDIA,), mac=False)
    assert wrong.verdict == "fail"
    assert not list(checks.gpu_layers("l", (0, "GPU-1a"), (_NVIDIA,), mac=False))
    assert not list(checks.gpu_layers("l", None, (), mac=True))
