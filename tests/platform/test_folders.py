"""The folder for sockets: private, short, gone with its owner, and no trap for other files."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.platform import cache_folder, runtime_folder
from engines.platform.folders import LONGEST_SOCKET_PATH

PREFIX = "weighbridge-"


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a short folder that is `XDG_RUNTIME_DIR` for now."""
    with tempfile.TemporaryDirectory(prefix="wb", dir="/tmp") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        yield Path(name)


@pytest.fixture
def dead_pid() -> int:
    """Return the id of a process that has been."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def leftover(parent: Path, pid: object) -> Path:
    folder = parent / f"{PREFIX}{pid}-abc"
    folder.mkdir()
    (folder / "socket").touch()
    return folder


def test_the_folder_is_private_and_goes_at_the_end(parent: Path) -> None:
    with runtime_folder() as folder:
        assert folder.parent == parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert str(os.getpid()) in folder.name
        (folder / "socket").touch()
    assert not folder.exists()


def test_it_goes_as_well_when_the_gateway_fails(parent: Path) -> None:
    with pytest.raises(RuntimeError), runtime_folder() as folder:
        raise RuntimeError
    assert not folder.exists()
    assert list(parent.iterdir()) == []


def test_two_gateways_have_two_folders(parent: Path) -> None:
    with runtime_folder() as one, runtime_folder() as other:
        assert one != other
        assert one.parent == other.parent == parent


def test_what_dead_gateways_left_is_removed_and_what_lives_is_kept(
    parent: Path, dead_pid: int
) -> None:
    dead = leftover(parent, dead_pid)
    never = leftover(parent, 10**30)
    living = leftover(parent, os.getpid())
    another = leftover(parent, 1)
    with runtime_folder():
        assert not dead.exists()
        assert not never.exists()
        assert (living / "socket").exists()
        assert (another / "socket").exists()


@pytest.mark.parametrize(
    "name", ["weighbridge-", "weighbridge-x-1", "weighbridge-²-1", "other-1-1"]
)
def test_what_is_not_named_like_ours_is_left_alone(parent: Path, name: str) -> None:
    (parent / name).mkdir()
    with runtime_folder():
        assert (parent / name).exists()


def test_a_planted_link_removes_nothing_and_hinders_nothing(parent: Path, dead_pid: int) -> None:
    target = parent / "precious"
    target.mkdir()
    (target / "file").touch()
    (parent / f"{PREFIX}{dead_pid}-link").symlink_to(target)
    (parent / f"{PREFIX}{dead_pid}-dangling").symlink_to(parent / "nowhere")
    (parent / f"{PREFIX}{dead_pid}-file").touch()
    inside = leftover(parent, dead_pid)
    (inside / "link").symlink_to(target)
    with runtime_folder() as folder:
        assert folder.parent == parent
        assert not inside.exists()
    assert (target / "file").exists()
    assert (parent / f"{PREFIX}{dead_pid}-file").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give folders away")
def test_another_users_folder_is_left_alone(parent: Path, dead_pid: int) -> None:
    theirs = leftover(parent, dead_pid)
    os.chown(theirs, 12_345, 12_345)
    with runtime_folder():
        assert theirs.exists()


def test_long_folders_are_passed_over_so_that_socket_paths_stay_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with runtime_folder() as folder:
        assert folder.parent == Path("/tmp")  # noqa: S108 - the last resort
        assert len(os.fsencode(folder / ("s" * 24))) < LONGEST_SOCKET_PATH


@pytest.mark.parametrize("name", ["relative", "", "/none/such"])
def test_a_folder_that_will_not_do_is_passed_over(
    parent: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(parent)
    (parent / "relative").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", name)
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    with runtime_folder() as folder:
        assert folder.parent == parent


def test_a_path_of_as_many_bytes_as_fit_is_measured_in_bytes(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = parent / ("é" * 20)
    wide.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(wide))
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    with runtime_folder() as folder:
        assert folder.parent == parent


@pytest.mark.parametrize(
    ("environ", "system", "folder"),
    [
        ({"HOME": "/h"}, "linux", "/h/.cache/weighbridge"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "linux", "/x/weighbridge"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "darwin", "/h/Library/Caches/weighbridge"),
        ({"HOME": "/h", "WEIGHBRIDGE_CACHE": "/c"}, "darwin", "/c"),
        (
            {"HOME": "/h", "WEIGHBRIDGE_CACHE": "", "XDG_CACHE_HOME": ""},
            "linux",
            "/h/.cache/weighbridge",
        ),
    ],
)
def test_the_cache_lies_where_the_user_or_the_system_says(
    environ: dict[str, str], system: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert cache_folder(environ) == Path(folder)
