"""Builds what our llama.cpp worker is measured against, from the sdist of llama-cpp-python.

    .venv/bin/python -m benchmarks.peers      # once; about six minutes on two cores

llama-server comes from the same sources with the same build options as the wheel, so that a
difference is the server's; `llama_cpp.server` runs in a virtual environment with the very wheel.
Both are kept in the user's cache folder; their paths are printed, at once when they are there.

Owns: the builds. Must not: be needed by anything but the benchmarks.
"""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

from tools.families.fetch_sdist import download
from tools.setup import llamacpp_wheel as wheel

# As llama-cpp-python's CMakeLists.txt has it: shared libraries, no curl; all else is the default.
_SAME = ("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DLLAMA_CURL=OFF")
_SERVER = (
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
_MOVABLE = "-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON"  # it is built in one folder and kept in another
_SERVER_OF_PYTHON = (
    "sse-starlette",
    "starlette-context",
    "pydantic-settings",
    "fastapi",
    "uvicorn",
)


@dataclass(frozen=True, slots=True)
class Peers:
    """Where they are: an executable, and a Python that has `llama_cpp.server`."""

    llama_server: Path
    python: Path


def places() -> Peers:
    """Return where the peers lie, or will."""
    system, flags = platform.system(), " ".join((*_SAME, *_SERVER))
    version, machine = wheel.version_wanted(), platform.machine()
    key = wheel.key_of(version, flags, system, machine, wheel.cpu_features(system))
    peers = wheel.cache_folder(dict(os.environ), system).parent / "peers"
    return Peers(peers / key / "llama-server", peers / f"{key}-python" / "bin" / "python")


def build_llama_server(folder: Path) -> None:
    """Build the server into `folder`, which is there whole or not at all.

    Raises:
        SystemExit: a tool is missing, or one failed; it has said why.
    """
    if not shutil.which("cmake"):
        raise SystemExit("cmake is needed: apt install cmake, or pip install cmake ninja")
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        with tarfile.open(download(Path(work))) as archive:
            archive.extractall(work, filter="data")
        source = next(Path(work).glob("llama_cpp_python-*/vendor/llama.cpp"))
        made = Path(work, "build")
        generator = ("-G", "Ninja") if shutil.which("ninja") else ()
        options = (*generator, *_SAME, *_SERVER, _MOVABLE)
        _run("cmake", "-S", str(source), "-B", str(made), *options)
        jobs = str(os.cpu_count() or 2)
        _run("cmake", "--build", str(made), "--target", "llama-server", "--parallel", jobs)
        (made / "bin").replace(folder)


def make_python(folder: Path) -> None:
    """Make an environment with `llama_cpp.server` and the wheel that we run on ourselves.

    Raises:
        SystemExit: pip failed; it has said why.
    """
    made = [sys.executable, str(Path(wheel.__file__))]
    said = subprocess.run(made, check=True, stdout=subprocess.PIPE, text=True).stdout
    venv.create(folder, with_pip=True, clear=True)
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet")
    _run(*pip, "--disable-pip-version-check", said.split("\n")[-2], *_SERVER_OF_PYTHON)


def _run(*command: str) -> None:
    ended = subprocess.run(command, stdout=sys.stderr, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(command[:3])} failed")


def main() -> None:
    """Build where that is needed, and print the paths."""
    peers = places()
    server, python = peers.llama_server.parent, peers.python.parent.parent
    with wheel.one_at_a_time(server.parent):
        if not peers.llama_server.exists():
            build_llama_server(server)
        if not peers.python.exists():
            make_python(python)
    print(peers.llama_server)
    print(peers.python)


if __name__ == "__main__":
    main()
