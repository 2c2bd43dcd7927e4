"""Files that are there whole or not at all.

Owns: how one is written. Must not: know what stands in it.
"""

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file in place of what was there; of a disk that is full nothing stays taken.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    half = path.with_suffix(f".{os.getpid()}")
    try:
        with half.open("wb") as out:
            out.writelines(parts)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
