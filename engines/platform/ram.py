"""How much memory this process and its children may have.

Owns: the machine's memory, cut by the cgroups' limits. Must not: decide what is done with it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from engines.platform.groups import GROUPS, folders_around, own_groups, read_text


def memory_bytes() -> int:
    """Return the memory in bytes that there is at most."""
    own = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = limit_bytes(own_groups(), GROUPS)
    return own if limit is None else min(own, limit)


def limit_bytes(own_cgroup: str, mounted: Path) -> int | None:
    """Return the smallest limit of the process's group and of those around it; None without one.

    `own_cgroup` is the text of `/proc/self/cgroup`, `mounted` the folder of all groups. Beyond
    `memory.high` a group is slowed down until it hardly moves, so that counts as a limit too.
    """
    return min(_limits(own_cgroup, mounted), default=None)


def _limits(own: str, mounted: Path) -> Iterator[int]:
    files = [
        folder / name
        for folder in folders_around(own, "", mounted)
        for name in ("memory.max", "memory.high")
    ]
    files += [folder / "memory.limit_in_bytes" for folder in folders_around(own, "memory", mounted)]
    for file in files:
        text = read_text(file).strip()
        # v2 says `max` where there is none, v1 a number beyond any memory.
        if text.isascii() and text.isdigit() and int(text):
            yield int(text)
