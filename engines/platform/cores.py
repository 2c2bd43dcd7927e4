"""How many cores this process may use.

Owns: affinity, cgroup quotas, Apple's performance cores.
Must not: decide what is done with them.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

from engines.platform.groups import GROUPS, folders_around, own_groups, read_text


def usable_cores() -> int:
    """Return the cores that this process may keep busy, at least 1.

    On Linux the affinity mask, cut by the cgroups' quotas; on macOS the performance cores, because
    a barrier waits for the slowest thread.
    """
    if sys.platform == "darwin":
        return performance_cores(_sysctl("hw.perflevel0.physicalcpu")) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0))
    quota = quota_cores(own_groups(), GROUPS)
    return max(1, allowed if quota is None else min(allowed, quota))


def quota_cores(own_cgroup: str, mounted: Path) -> int | None:
    """Return the smallest quota of the process's group and of those around it; None without one.

    `own_cgroup` is the text of `/proc/self/cgroup`, `mounted` the folder of all groups.
    """
    v2 = folders_around(own_cgroup, "", mounted)
    v1 = folders_around(own_cgroup, "cpu", mounted)
    found = [cgroup_v2_cores(read_text(folder / "cpu.max")) for folder in v2]
    found += [
        cgroup_v1_cores(
            read_text(folder / "cpu.cfs_quota_us"), read_text(folder / "cpu.cfs_period_us")
        )
        for folder in v1
    ]
    return min((cores for cores in found if cores is not None), default=None)


def cgroup_v2_cores(text: str) -> int | None:
    """Read `cpu.max` (`200000 100000`, `max 100000`); None when there is no quota."""
    quota, _, period = text.strip().partition(" ")
    return _whole_cores(quota, period)


def cgroup_v1_cores(quota: str, period: str) -> int | None:
    """Read `cpu.cfs_quota_us` and `cpu.cfs_period_us`; None when there is no quota (-1)."""
    return _whole_cores(quota.strip(), period.strip())


def performance_cores(text: str) -> int | None:
    """Read `sysctl -n hw.perflevel0.physicalcpu`; None on Macs that have no such key."""
    return int(text) if text.strip().isdigit() else None


def _whole_cores(quota: str, period: str) -> int | None:
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return max(1, math.floor(int(quota) / int(period)))


def _sysctl(key: str) -> str:
    try:
        asked = subprocess.run(["/usr/sbin/sysctl", "-n", key], capture_output=True, check=False)
    except OSError:
        return ""
    return asked.stdout.decode("ascii", "replace")
