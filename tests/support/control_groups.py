"""Recorded texts of `/proc/self/cgroup`, and folders like those of the kernel."""

from pathlib import Path

SYSTEMD = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/weighbridge.service\n"
DOCKER_V2 = "0::/\n"
DOCKER_V1 = """\
12:pids:/docker/1f0c9a
11:cpuset:/docker/1f0c9a
10:net_cls,net_prio:/docker/1f0c9a
4:cpu,cpuacct:/docker/1f0c9a
1:name=systemd:/docker/1f0c9a
0::/system.slice/containerd.service
"""
OUTSIDE = "0::/../../machine.slice/x\n"


def tree(root: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root
