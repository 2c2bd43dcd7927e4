"""Builds libmtmd, through which our llama.cpp worker looks at images, beside the installed wheel.

    python -m tools.setup.mtmd --install     # into the llama-cpp-python of this Python

The wheel of `llamacpp_wheel` is built without it, which saves a fifth of the time. It is compiled
from the sdist of the same version, for any CPU of this kind, and kept in the user's cache folder:
a minute or two, once. Prints the folder that it lies in, which is what MTMD_CPP_LIB names.

Owns: which sources it is made of, and how.
Must not: build llama.cpp itself.
"""

import argparse
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from tools.families.fetch_sdist import download
from tools.setup.llamacpp_wheel import cache_folder, one_at_a_time, version_wanted

LIBRARY = "libmtmd.so"  # llama-cpp-python looks for this name on macOS too
_LLAMA = PurePosixPath("vendor", "llama.cpp")
_WANTED = (
    *("tools/mtmd", "include", "src", "ggml/include", "vendor/hash", "vendor/miniaudio"),
    *("vendor/sheredom", "vendor/stb", "vendor/nlohmann"),
)
# Programs of their own, no part of the library.
_PROGRAMS = ("mtmd-cli.cpp", "deprecation-warning.cpp")
_HASHES = ("hash.cpp", "sha1/sha1.c", "sha256/sha256.c", "xxhash/xxhash.c")
_FLAGS = ("-O2", "-DNDEBUG", "-fPIC", "-w", "-DLLAMA_SHARED", "-DGGML_SHARED")
_CPP, _C = ("-x", "c++", "-std=c++17"), ("-x", "c")


def place() -> Path:
    """Return the folder that has the library, or will."""
    base = cache_folder(dict(os.environ), platform.system()).parent
    return base / "mtmd" / f"{version_wanted()}-{platform.system()}-{platform.machine()}"


def installed() -> Path:
    """Return the folder of the libraries of llama-cpp-python.

    Raises:
        SystemExit: it is not installed.
    """
    found = importlib.util.find_spec("llama_cpp")
    if found is None or found.origin is None:
        raise SystemExit("llama-cpp-python is not installed here; run: make setup")
    return Path(found.origin).parent / "lib"


def sources_in(llama: Path) -> list[Path]:
    """Return what is compiled, of an unpacked llama.cpp."""
    mtmd, hashes = llama / "tools" / "mtmd", llama / "vendor" / "hash"
    own = [one for one in sorted(mtmd.glob("*.cpp")) if one.name not in _PROGRAMS]
    return [*own, *sorted(mtmd.glob("models/*.cpp")), *(hashes / name for name in _HASHES)]


def build(target: Path) -> None:
    """Build the library into `target`, which is there whole or not at all.

    Raises:
        SystemExit: there is no compiler, or it failed; what it said is shown.
    """
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if not compiler:
        raise SystemExit("There is no C++ compiler; Debian, Ubuntu: apt install build-essential")
    print("Building libmtmd, once: a minute or two.", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        llama = _unpacked(download(Path(work)), Path(work))
        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            objects = list(
                pool.map(lambda source: _compiled(compiler, source, llama), sources_in(llama))
            )
        made = Path(work, LIBRARY)
        _run(compiler, "-shared", "-o", str(made), *map(str, objects), *_linking())
        made.replace(target)


def _unpacked(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            inside = PurePosixPath(*parts[3:]) if len(parts) > 3 else PurePosixPath()
            ours = PurePosixPath(*parts[1:3]) == _LLAMA
            if ours and any(inside.is_relative_to(wanted) for wanted in _WANTED):
                archive.extract(member, folder, filter="data")
    return next(folder.glob("*/vendor/llama.cpp"))


def _compiled(compiler: str, source: Path, llama: Path) -> Path:
    made = source.with_suffix(".o")
    # One of the sums is in a namespace there, so that it is C++ for all its name.
    language = _C if source.suffix == ".c" and source.name != "sha1.c" else _CPP
    folders = ("include", "ggml/include", "tools/mtmd", "vendor", "vendor/hash")
    includes = [f"-I{llama / folder}" for folder in folders]
    _run(compiler, *_FLAGS, *includes, *language, "-c", str(source), "-o", str(made))
    return made


def _linking() -> list[str]:
    libraries = [f"-L{installed()}", "-lllama", "-lggml", "-lggml-base", "-lpthread"]
    if platform.system() == "Darwin":
        # In the cache it has nothing beside it, and dyld looks for files, not for what is loaded.
        return [*libraries, "-Wl,-rpath,@loader_path", f"-Wl,-rpath,{installed()}"]
    return [*libraries, "-Wl,-rpath,$ORIGIN", "-Wl,-z,defs"]  # what lacks shows now, not at a load


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"{ended.stderr[-4_000:]}\nlibmtmd could not be built")


def main() -> None:
    """Make sure that the library is there, and installed where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--install", action="store_true", help="beside the installed libraries")
    asked = parser.parse_args()
    folder = place()
    with one_at_a_time(folder, "libmtmd"):
        if not (folder / LIBRARY).exists():
            build(folder / LIBRARY)
    if asked.install:
        shutil.copy2(folder / LIBRARY, installed() / LIBRARY)
    print(folder)


if __name__ == "__main__":
    main()
