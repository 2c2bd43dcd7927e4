"""What `weighbridge doctor` says of builds: of Python's, and of llama.cpp's for processor and GPU.

Owns: asking the installed ones, llama.cpp in a process of its own; the verdicts and remedies.
Must not: import llama_cpp; print.
"""

import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from engines.platform import Gpu, gpus, instructions
from gateway.cli.doctor_found import Found

_MAPS = Path("/proc/self/maps")
_TIMEOUT_S = 30.0
_ANEW = "reinstall llama-cpp-python"
_SCRIPT = """
import llama_cpp
from engines.llamacpp.devices import devices_for
found = devices_for(0)
print(llama_cpp.llama_print_system_info().decode())
print(int(found.takes_layers), *found.names)
"""
# What CMAKE_ARGS says for whose GPUs.
_FLAGS = {"nvidia": "-DGGML_CUDA=on", "amd": "-DGGML_HIP=on"}


def python(maps: Path = _MAPS) -> Found:
    """Return which Python this is; `maps` says where Linux has put what it is made of.

    An interpreter in a library of its own works as well, but slower (docs/decisions/0053).
    """
    version = platform.python_version()
    try:
        apart = "/libpython3" in maps.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        apart = False
    if not apart:
        return Found("python", "ok", version)
    said = (
        f"{version}, with its interpreter in a shared library: one in the executable, as Debian's "
        "and Ubuntu's, needs up to a quarter less CPU per request"
    )
    return Found("python", "ok", said)


def build() -> Iterator[Found]:
    """Yield how the installed llama.cpp was built."""
    try:
        asked = subprocess.run(
            [sys.executable, "-P", "-c", _SCRIPT],
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        yield Found("llama.cpp", "fail", "does not answer", _ANEW)
        return
    lines = asked.stdout.decode("utf-8", "replace").strip().splitlines()
    if asked.returncode != 0 or len(lines) < 2:
        last = asked.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        yield Found("llama.cpp", "fail", f"cannot be imported: {''.join(last)}", _ANEW)
        return
    yield read_build(lines[-2], instructions())
    yield read_offload(lines[-1], gpus(), mac=sys.platform == "darwin")


def read_build(text: str, known: frozenset[str]) -> Found:
    """Read llama.cpp's line of flags (`CPU : AVX2 = 1 | OPENMP = 1 |`) beside the processor's."""
    flags = {name.split(":")[-1].strip() for name, _, on in _pairs(text) if on == "1"}
    missing = [one for one, mark in (("AVX2", "avx2"), ("AVX512", "avx512f")) if mark in known]
    missing = [one for one in missing if one not in flags]
    said = "built with " + ", ".join(sorted(flags))
    if missing:
        remedy = "build it on this machine: pip install --no-binary :all: llama-cpp-python"
        return Found("llama.cpp", "warn", f"{said}; without {', '.join(missing)}", remedy)
    return Found("llama.cpp", "ok", said)


def read_offload(text: str, cards: Sequence[Gpu], *, mac: bool) -> Found:
    """Read whether layers can go to a GPU, and llama.cpp's devices: `1 CUDA0 CUDA1 CPU`."""
    able, *names = text.split()
    others = [name for name in names if name != "CPU"]
    if able == "1" and others:
        return Found("offload", "ok", f"layers can go onto {', '.join(others)} (gpu_layers)")
    if able == "1":
        said = "this llama.cpp is built for a GPU but finds none"
        return Found("offload", "warn", said, "check its driver, as with nvidia-smi")
    if not cards and not mac:
        return Found(
            "offload", "ok", "none: this llama.cpp is built for the CPU, and there is no GPU here"
        )
    flags = "-DGGML_METAL=on" if mac else _FLAGS["amd" if _is_amd(cards[0]) else "nvidia"]
    remedy = f"rebuild it: CMAKE_ARGS={flags} pip install --force-reinstall --no-cache-dir "
    remedy += "--no-binary llama-cpp-python llama-cpp-python (docs/gpus.md)"
    return Found(
        "offload",
        "warn",
        "this llama.cpp is built without support for the GPU that is here",
        remedy,
    )


def _is_amd(card: Gpu) -> bool:
    return not card.uuid  # NVIDIA's driver tells one of each


def _pairs(text: str) -> Iterator[tuple[str, str, str]]:
    for part in text.split("|"):
        name, equals, value = part.partition("=")
        yield name.strip(), equals, value.strip()
