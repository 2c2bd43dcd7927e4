"""How much memory this process and its children may have.

Owns: the machine's memory, cut by the cgroups' limits. Must not: decide what is done with it.
"""

import os
from pathlib import Path

_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_bytes() -> int:
    """Return the memory in bytes that there is at most."""
    own = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([own, *filter(None, map(_limit, _LIMITS))])


def _limit(path: Path) -> int | None:
    """Read a cgroup's limit; None where there is none (`max`)."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None
