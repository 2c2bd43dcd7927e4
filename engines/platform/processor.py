"""What kind of processor this is.

Owns: the instructions that it knows, by the names that Linux has for them.
Must not: decide what follows.
"""

import subprocess
import sys
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
# macOS' name -> Linux'.
_APPLE = {"FEAT_DotProd": "asimddp", "FEAT_I8MM": "i8mm", "AdvSIMD": "asimd"}


def instructions() -> frozenset[str]:
    """Return the processor's instructions, as `avx2` and `asimddp`; none where nobody tells."""
    if sys.platform == "darwin":
        return apple_instructions(_sysctl("hw.optional.arm"))
    try:
        return linux_instructions(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return frozenset()


def linux_instructions(text: str) -> frozenset[str]:
    """Read `/proc/cpuinfo`: the line `flags` (x86) or `Features` (ARM) of the first core."""
    for line in text.splitlines():
        key, _, words = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(words.split())
    return frozenset()


def apple_instructions(text: str) -> frozenset[str]:
    """Read `sysctl hw.optional.arm`, whose lines are `hw.optional.arm.FEAT_DotProd: 1`."""
    known = set()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        name = _APPLE.get(key.rpartition(".")[2])
        if name is not None and value.strip() == "1":
            known.add(name)
    return frozenset(known)


def _sysctl(key: str) -> str:
    try:
        asked = subprocess.run(["/usr/sbin/sysctl", key], capture_output=True, check=False)
    except OSError:
        return ""
    return asked.stdout.decode("ascii", "replace")
