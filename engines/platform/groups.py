"""Which control group this process is in, and the folders that limit it.

Owns: reading `/proc/self/cgroup`, and the way from a group to the root.
Must not: know a limit.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def own_groups() -> str:
    """Return the text of `/proc/self/cgroup`, "" where there is none."""
    return read_text(_OWN)


def own_group(text: str, controller: str) -> str | None:
    """Read `/proc/self/cgroup`: the group for a v1 controller, or with "" for v2; None if none.

    Lines are `0::/user.slice/app.scope` (v2) and `4:cpu,cpuacct:/docker/1f0c` (v1).
    """
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(",") and path.startswith("/"):
            return path
    return None


def folders_around(own: str, controller: str, mounted: Path) -> Iterator[Path]:
    """Yield the folders of the process's group and of all groups around it, up to the root.

    `own` is the text of `/proc/self/cgroup`, `mounted` the folder of all groups. In a container the
    path in the text may lead nowhere: then the root's limits are the container's.
    """
    path = PurePosixPath(own_group(own, controller) or "/")
    if ".." in path.parts:
        path = PurePosixPath("/")  # a group outside of what this container sees
    for each in (path, *path.parents):
        yield mounted / controller / each.relative_to("/")


def read_text(path: Path) -> str:
    """Return what a small file says, "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
