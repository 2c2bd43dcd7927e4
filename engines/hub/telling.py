"""What a pull that runs as a process of its own tells its parent: a JSON object a line.

Owns: the lines. Must not: import what fetches; the parent reads them too.
"""

import msgspec

from engines.protocol.unreadable import UNREADABLE


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: how far it is, or a word for the log, or the end: `done` or a `problem`.

    `here_bytes` of `size_bytes` are on the disk, None where nobody knows how many there will be.
    """

    size_bytes: int | None = None
    here_bytes: int | None = None
    says: str = ""
    problem: str = ""
    done: bool = False


def written(told: Told) -> bytes:
    """Return a line."""
    return msgspec.json.encode(told) + b"\n"


def read(line: bytes) -> Told | None:
    """Return what a line tells; None where it is none of these."""
    try:
        return msgspec.json.decode(line, type=Told)
    except UNREADABLE:
        return None
