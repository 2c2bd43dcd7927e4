"""The machine that is measured on, and what a process there has used.

Owns: the words for it, as far as the system tells.
Must not: start what is measured.
"""

import os
import platform
import subprocess
from pathlib import Path

from engines.platform import seen_of

_PROC = Path("/proc")


class CannotMeasure(Exception):
    """What is needed does not start; the message says what, and what it said."""


def cpu_s(pid: int) -> float | None:
    """Return the CPU seconds that a process has used, None where the system does not tell."""
    seen = seen_of(pid)
    return None if seen is None else seen.cpu_s


def rss_mib(pid: int) -> float | None:
    """Return the memory of a process that is in RAM, None where the system does not tell."""
    try:
        pages = int((_PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def machine(python: str | None = None) -> str:
    """Return one line about where this is measured; by a `python` that is not our own.

    Raises:
        CannotMeasure: it is none.
    """
    version = platform.python_version() if python is None else _version_of(python)
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()}, Python {version}"


def _version_of(python: str) -> str:
    argv = [python, "-c", "import platform; print(platform.python_version())"]
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotMeasure(f"{python} is no Python: {error}") from None


def processor() -> str:
    """Return what the processor is called, as far as the system tells."""
    cpu = platform.processor() or platform.machine()
    try:
        rows = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(row for row in rows if row.startswith("model name")).partition(": ")[2]
    except (OSError, StopIteration):
        pass
    return cpu


def commit() -> str | None:
    """Return the commit of a checkout, None where this is an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    asked = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None
