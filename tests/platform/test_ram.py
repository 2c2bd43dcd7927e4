"""How much memory a process may have, by folders like those of the kernel."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.platform import memory_bytes
from engines.platform.ram import limit_bytes
from tests.support.control_groups import DOCKER_V1, DOCKER_V2, OUTSIDE, SYSTEMD, tree

_GIB = 1 << 30
_OWN = SYSTEMD.removeprefix("0::/").strip()
_NO_LIMIT_V1 = "9223372036854771712\n"


def test_the_limit_of_the_own_group_counts_and_not_that_of_others(tmp_path: Path) -> None:
    limits = {
        "user.slice/memory.max": "max\n",
        f"{_OWN}/memory.max": f"{3 * _GIB}\n",
        "other.slice/memory.max": f"{_GIB}\n",
    }
    assert limit_bytes(SYSTEMD, tree(tmp_path, limits)) == 3 * _GIB


def test_a_group_around_can_be_the_narrowest(tmp_path: Path) -> None:
    limits = {
        "user.slice/memory.max": f"{2 * _GIB}\n",
        f"{_OWN}/memory.max": f"{3 * _GIB}\n",
    }
    assert limit_bytes(SYSTEMD, tree(tmp_path, limits)) == 2 * _GIB


def test_beyond_high_a_group_hardly_moves_so_that_is_a_limit_too(tmp_path: Path) -> None:
    limits = {f"{_OWN}/memory.max": f"{3 * _GIB}\n", f"{_OWN}/memory.high": f"{2 * _GIB}\n"}
    assert limit_bytes(SYSTEMD, tree(tmp_path, limits)) == 2 * _GIB


@pytest.mark.parametrize("own", [DOCKER_V2, OUTSIDE, SYSTEMD, ""])
def test_in_a_container_the_roots_limit_is_its_own(own: str, tmp_path: Path) -> None:
    assert limit_bytes(own, tree(tmp_path, {"memory.max": f"{_GIB}\n"})) == _GIB


@pytest.mark.parametrize("group", ["memory", "memory/docker/1f0c9a", "memory/docker"])
def test_cgroup_v1_is_read_at_the_own_group_and_around(group: str, tmp_path: Path) -> None:
    own = DOCKER_V1 + "5:memory:/docker/1f0c9a\n"
    limits = {"memory/docker/other/memory.limit_in_bytes": "4096\n"}
    root = tree(tmp_path, limits | {f"{group}/memory.limit_in_bytes": f"{_GIB}\n"})
    assert limit_bytes(own, root) == _GIB


@pytest.mark.parametrize("text", ["max\n", "", "0\n", "-1\n", "many\n", "\u0661\n"])
def test_what_is_no_number_of_bytes_is_no_limit(text: str, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(text, encoding="utf-8")
    assert limit_bytes(DOCKER_V2, tmp_path) is None


def test_without_a_limit_there_is_what_the_machine_has(tmp_path: Path) -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    unlimited = tree(tmp_path, {"memory/memory.limit_in_bytes": _NO_LIMIT_V1})
    assert (limit_bytes(DOCKER_V1, unlimited) or 0) > machine
    assert 0 < memory_bytes() <= machine


@given(st.lists(st.none() | st.integers(1, 1 << 45), min_size=4, max_size=4))
def test_the_narrowest_of_all_groups_around_is_the_limit(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int | None]
) -> None:
    folders = ["", "a/", "a/b/", "a/b/c/"]
    texts = {
        f"{folder}memory.max": "max" if size is None else str(size)
        for folder, size in zip(folders, sizes, strict=True)
    }
    root = tree(tmp_path_factory.mktemp("groups"), texts)
    found = limit_bytes("0::/a/b/c\n", root)
    assert found == min((size for size in sizes if size is not None), default=None)
