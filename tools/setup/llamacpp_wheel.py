"""Builds llama-cpp-python once and keeps the wheel, because building it takes minutes.

    python tools/setup/llamacpp_wheel.py --install     # into the Python that runs this

Only the standard library. The wheel lies in `$WEIGHBRIDGE_CACHE`, else in the user's cache folder,
under a key of version, CMake flags, system and CPU: with `-march=native` a wheel of another CPU
would crash. What was installed is recorded beside the Python that has it: another `CMAKE_ARGS`, or
another CPU, makes it be built and installed again; without `CMAKE_ARGS` the recorded flags stay.

Owns: the cache, the build and what it says.
Must not: choose the version; `pyproject.toml` does.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "llama-cpp-python"
# No multimodal part: nothing here uses it yet, and it is a fifth of the build.
DEFAULT_FLAGS = "-DLLAVA_BUILD=OFF"
RECORD = "weighbridge-llamacpp.json"
_LAST_LINES = 30
_STEP = re.compile(r"^\s*\[(\d+)/(\d+)\]")


def version_wanted() -> str:
    """Return the lowest version that the extra `llamacpp` allows: the one that is tested."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in project["optional-dependencies"]["llamacpp"]:
        found = re.match(rf"{NAME}>=([\w.]+)", line)
        if found:
            return found[1]
    raise SystemExit(f"pyproject.toml names no {NAME}>=VERSION in the extra llamacpp")


def cache_folder(environ: dict[str, str], system: str) -> Path:
    """Return where wheels are kept."""
    if environ.get("WEIGHBRIDGE_CACHE"):
        return Path(environ["WEIGHBRIDGE_CACHE"]) / "wheels"
    home = Path(environ.get("HOME") or Path.home())
    if system == "Darwin":
        return home / "Library" / "Caches" / "weighbridge" / "wheels"
    base = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "weighbridge" / "wheels"


def key_of(version: str, flags: str, system: str, machine: str, cpu: str) -> str:
    """Return the folder's name for a build: what is in it changes with any of these."""
    facts = "\0".join((version, " ".join(flags.split()), system, machine, cpu))
    return f"{version}-{machine}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def cpu_features(system: str) -> str:
    """Return what tells this CPU from one on which its code would crash."""
    if system == "Darwin":
        asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    flags = next((ln.partition(":")[2] for ln in lines if ln.startswith(("flags", "Features"))), "")
    return " ".join(sorted(flags.split()))


@dataclasses.dataclass(frozen=True)
class Build:
    """What was installed: its CMake flags, and the key that they had a part in."""

    flags: str
    key: str


def recorded(record: Path) -> Build | None:
    """Return the build that was installed here last, None when another hand installed it."""
    try:
        return Build(**json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def is_current(version: str, wanted: Build, last: Build | None, environ: dict[str, str]) -> bool:
    """Say whether what is installed is what is wanted; from another hand any flags will do."""
    if installed_version() != version:
        return False
    return not environ.get("CMAKE_ARGS") if last is None else last.key == wanted.key


def installed_version() -> str | None:
    """Return the version that this Python has, if any."""
    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return None


@contextlib.contextmanager
def one_at_a_time(folder: Path, what: str = NAME) -> Iterator[None]:
    """Let one process build into a folder; others wait and then find the wheel there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another process is building {what}; waiting for it.", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wheel_in(folder: Path) -> Path | None:
    """Return the finished wheel, if there is one."""
    return next(iter(sorted(folder.glob("*.whl"))), None)


def build(version: str, flags: str, folder: Path) -> Path:
    """Build the wheel and move it into `folder` when it is whole.

    Raises:
        SystemExit: no compiler, or the build failed; what it said last is shown.
    """
    if not (os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")):
        raise SystemExit(
            "There is no C/C++ compiler, and llama.cpp must be compiled once.\n"
            "Debian, Ubuntu: apt install build-essential; Fedora: dnf install gcc-c++; "
            "macOS: xcode-select --install"
        )
    print(f"Building {NAME} {version} for this CPU: once, a few minutes.", flush=True)
    print(f"The wheel will be kept in {folder}", flush=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--verbose"]
        command += ["--disable-pip-version-check", "--no-binary", NAME]
        command += ["-C", "install.strip=true", "-w", work, f"{NAME}=={version}"]
        environ = {**os.environ, "CMAKE_ARGS": flags, "PYTHONUNBUFFERED": "1"}
        began_s = time.monotonic()
        with subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as child:
            last = show_progress(child)
        wheel = wheel_in(Path(work))
        if child.returncode != 0 or wheel is None:
            why = f"Building {NAME} failed; its last lines stand above."
            raise SystemExit("\n".join([*last, why]))
        target = folder / wheel.name
        wheel.replace(target)  # within one file system: there whole, or not there
    print(f"Built in {time.monotonic() - began_s:.0f} s.", flush=True)
    return target


def show_progress(child: "subprocess.Popen[str]") -> list[str]:
    """Print a line for every tenth of the build; return the last lines of its output."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    shown = (0, -1)
    for line in child.stdout or ():
        last.append(line.rstrip())
        step = _STEP.match(line)
        if step:
            # What CMake counts before the build has another total, and ends at ten tenths too.
            done, total = int(step[1]), max(1, int(step[2]))
            tenth = 10 * done // total
            if total != shown[0] or tenth > shown[1]:
                shown = (total, tenth)
                print(f"  compiled {done} of {total}", flush=True)
    return list(last)


def install(wheel: Path, built: Build, record: Path) -> None:
    """Install the wheel and record what it is.

    Raises:
        SystemExit: pip refused; it has said why.
    """
    # Before anything changes: a half-done installation is nobody's.
    record.unlink(missing_ok=True)
    for beside in Path(sys.prefix).glob("lib/python*/site-packages/llama_cpp/lib/libmtmd.*"):
        beside.unlink()  # pip leaves what `tools.setup.mtmd` has put beside another version
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--force-reinstall"]
    command += ["--disable-pip-version-check", "--no-deps", str(wheel)]
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        raise SystemExit(code)
    record.write_text(json.dumps(dataclasses.asdict(built)), encoding="utf-8")


def main() -> None:
    """Make sure that the wheel is there, and installed where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--install", action="store_true", help="install it into this Python")
    asked = parser.parse_args()
    version, system, environ = version_wanted(), platform.system(), dict(os.environ)
    record = Path(sys.prefix) / RECORD
    last = recorded(record) if asked.install else None
    flags = environ.get("CMAKE_ARGS") or (last.flags if last else DEFAULT_FLAGS)
    key = key_of(version, flags, system, platform.machine(), cpu_features(system))
    if asked.install and is_current(version, Build(flags, key), last, environ):
        return
    folder = cache_folder(environ, system) / key
    with one_at_a_time(folder):
        wheel = wheel_in(folder) or build(version, flags, folder)
    if asked.install:
        install(wheel, Build(flags, key), record)
    else:
        print(wheel)


if __name__ == "__main__":
    main()
