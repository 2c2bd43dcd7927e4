"""Cores by recorded texts of Linux and macOS."""

import subprocess
import sys
from pathlib import Path

import pytest

from engines.platform import usable_cores
from engines.platform.cores import (
    cgroup_v1_cores,
    cgroup_v2_cores,
    performance_cores,
    quota_cores,
)
from tests.support.control_groups import DOCKER_V1, DOCKER_V2, OUTSIDE, SYSTEMD, tree


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),
        ("1600000 100000", 16),
        ("100000 0", None),
        ("", None),
        ("max", None),
        ("-5 100000", None),
        ("\ufffd\ufffd", None),
    ],
)
def test_cpu_max_of_cgroup_v2(text: str, cores: int | None) -> None:
    assert cgroup_v2_cores(text) == cores


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [
        ("-1\n", "100000\n", None),
        ("400000\n", "100000\n", 4),
        ("20000\n", "100000\n", 1),
        ("", "", None),
    ],
)
def test_quota_and_period_of_cgroup_v1(quota: str, period: str, cores: int | None) -> None:
    assert cgroup_v1_cores(quota, period) == cores


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("8\n", 8),
        ("", None),
        ("sysctl: unknown oid 'hw.perflevel0.physicalcpu'\n", None),
    ],
)
def test_sysctl_of_a_mac(text: str, cores: int | None) -> None:
    assert performance_cores(text) == cores


def test_the_quota_of_the_own_group_counts_and_not_the_roots_alone(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "user.slice/cpu.max": "max 100000",
            "user.slice/user-1000.slice/cpu.max": "800000 100000",
            f"{SYSTEMD.removeprefix('0::/').strip()}/cpu.max": "300000 100000",
            "other.slice/cpu.max": "100000 100000",
        },
    )
    assert quota_cores(SYSTEMD, root) == 3


def test_a_group_around_can_be_the_narrowest(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "user.slice/cpu.max": "200000 100000",
            f"{SYSTEMD.removeprefix('0::/').strip()}/cpu.max": "max 100000",
        },
    )
    assert quota_cores(SYSTEMD, root) == 2


@pytest.mark.parametrize("own", [DOCKER_V2, OUTSIDE, SYSTEMD, ""])
def test_in_a_container_the_roots_quota_is_its_own(own: str, tmp_path: Path) -> None:
    root = tree(tmp_path, {"cpu.max": "400000 100000"})
    assert quota_cores(own, root) == 4


@pytest.mark.parametrize("folder", ["cpu", "cpu/docker/1f0c9a", "cpu/docker"])
def test_cgroup_v1_is_read_at_the_own_group_and_around(folder: str, tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {f"{folder}/cpu.cfs_quota_us": "200000\n", f"{folder}/cpu.cfs_period_us": "100000\n"},
    )
    assert quota_cores(DOCKER_V1, root) == 2


def test_without_any_quota_there_is_none(tmp_path: Path) -> None:
    assert quota_cores(SYSTEMD, tmp_path) is None


def test_this_machine_has_a_core() -> None:
    assert usable_cores() >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux's")
def test_who_may_run_on_one_core_alone_has_one() -> None:
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from engines.platform import usable_cores; print(usable_cores())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ended.stdout == b"1\n"
