"""Folders: a private one for the sockets of this gateway's engines, and the user's cache.

Owns: where they are; that nobody else may enter the private one, and that it goes with its owner.
Must not: know what is put there.
"""

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

# A unix socket's path ends at 104 bytes on macOS and 108 on Linux, the final zero included.
LONGEST_SOCKET_PATH = 100
_ROOM_FOR_NUMBERS = 24  # process id and the random part
_ROOM_FOR_NAMES = 24
_PREFIX = "weighbridge-"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where what can be fetched or measured again is kept; it need not be there yet.

    `WEIGHBRIDGE_CACHE`, else the user's cache folder as the system has it.
    """
    if environ.get("WEIGHBRIDGE_CACHE"):
        return Path(environ["WEIGHBRIDGE_CACHE"])
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "weighbridge"
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "weighbridge"


@contextlib.contextmanager
def runtime_folder() -> Iterator[Path]:
    """Make the folder, with mode 0700 and a short path, and remove it at the end.

    What gateways that were killed have left is removed as well: the owner's process id stands in
    the name. Tried in turn: `XDG_RUNTIME_DIR`, the temporary folder, `/tmp`.
    """
    for parent in _parents():
        try:
            _remove_leftovers(parent)
            folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
        except OSError:
            continue
        break
    else:
        raise OSError("neither XDG_RUNTIME_DIR, TMPDIR nor /tmp can be written, with a short path")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parents() -> Iterator[Path]:
    for name in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes a private folder in it
        longest = len(os.fsencode(name)) + len(_PREFIX) + _ROOM_FOR_NUMBERS + _ROOM_FOR_NAMES
        if Path(name).is_absolute() and longest < LONGEST_SOCKET_PATH:
            yield Path(name)


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isascii() and pid.isdigit() and _is_ours(folder) and not _lives(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Say whether it is a folder of this user; a link, which anybody can plant in /tmp, is none."""
    try:
        found = folder.lstat()
    except OSError:
        return False  # another gateway has just removed it
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
