"""How many cores this process may use.

Owns: affinity, cgroup quotas, Apple's performance cores.
Must not: decide what is done with them.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def usable_cores() -> int:
    """Return the cores that this process may keep busy, at least 1.

    On Linux the affinity mask, cut by the cgroup's quota; on macOS the performance cores, because
    a barrier waits for the slowest thread.
    """
    if sys.platform == "darwin":
        return performance_cores(_sysctl("hw.perflevel0.physicalcpu")) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0))
    quota = cgroup_v2_cores(_text(_CGROUP_V2))
    if quota is None:
        quota = cgroup_v1_cores(
            _text(_CGROUP_V1 / "cpu.cfs_quota_us"), _text(_CGROUP_V1 / "cpu.cfs_period_us")
        )
    return max(1, allowed if quota is None else min(allowed, quota))


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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _sysctl(key: str) -> str:
    asked = subprocess.run(["/usr/sbin/sysctl", "-n", key], capture_output=True, check=False)
    return asked.stdout.decode("ascii", "replace")
