"""What is asked of DNS so that a name stands for several servers, and what came of it.

Owns: the question, its answer and how these are compared. Must not: ask.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

By: TypeAlias = Literal["a", "srv"]


@dataclass(frozen=True, slots=True)
class Lookup:
    """A name whose addresses (`a`: A and AAAA), or whose SRV records, are servers.

    `port` goes with addresses; SRV records bring theirs. `nameserver` is asked instead of the
    system's.
    """

    by: By
    name: str
    port: int
    nameserver: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A server that was found: its address, its port, and the name that it goes by."""

    host: str
    port: int
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a lookup came to: places in order, and why there are none or may be others by now."""

    places: tuple[Place, ...] = ()
    reason: str = ""
