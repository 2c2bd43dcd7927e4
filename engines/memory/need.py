"""What a replica needs of which device, in parts that have names.

Owns: the values. Must not: reckon.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

RAM = "ram"

PartName: TypeAlias = Literal["weights", "kv_cache", "compute", "adapters", "prefixes", "process"]


def in_words(size_bytes: int) -> str:
    """Return a size as people read it."""
    if size_bytes >= 1 << 30:
        return f"{size_bytes / (1 << 30):.1f} GiB"
    return f"{size_bytes / (1 << 20):.0f} MiB"


def gpu(index: int) -> str:
    """Return what the device is called that the driver counts as `index`."""
    return f"gpu{index}"


@dataclass(frozen=True, slots=True)
class Part:
    """So many bytes of a device, and what for.

    | name | what |
    |---|---|
    | weights | the model's own numbers |
    | kv_cache | what the tokens of running requests have left |
    | compute | room for the results within a step |
    | adapters | LoRA adapters, and the projector through which images are seen |
    | prefixes | what ended requests leave to later ones |
    | process | the program itself, and the vocabulary |

    What comes `late` is not there right after a load: requests bring it. What is `file_backed` the
    system can drop and read again, which is as slow as it sounds: it counts like the rest.
    """

    name: PartName
    device: str
    size_bytes: int
    file_backed: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """All that one replica takes, when its caches are full."""

    parts: tuple[Part, ...] = ()

    @property
    def by_device(self) -> Mapping[str, int]:
        """Bytes of each device that anything is needed of."""
        found: dict[str, int] = {}
        for part in self.parts:
            found[part.device] = found.get(part.device, 0) + part.size_bytes
        return found

    @property
    def total_bytes(self) -> int:
        """Bytes of all devices together."""
        return sum(part.size_bytes for part in self.parts)

    def on(self, device: str) -> int:
        """Return the bytes of one device."""
        return self.by_device.get(device, 0)

    def of(self, name: PartName) -> int:
        """Return the bytes of the parts of this name, on all devices."""
        return sum(part.size_bytes for part in self.parts if part.name == name)

    def file_backed(self, device: str = RAM) -> int:
        """Return how many of a device's bytes are pages of files."""
        return sum(p.size_bytes for p in self.parts if p.device == device and p.file_backed)

    def anonymous(self, device: str = RAM) -> int:
        """Return how many of a device's bytes no file stands behind."""
        return self.on(device) - self.file_backed(device)

    def times(self, replicas: int) -> "MemoryNeed":
        """Return what several processes need: they share the pages of a file, and nothing else."""
        shared = tuple(p for p in self.parts if p.file_backed)
        own = (p for p in self.parts if not p.file_backed)
        return MemoryNeed((*shared, *(replace(p, size_bytes=p.size_bytes * replicas) for p in own)))


def together(needs: Iterable[MemoryNeed]) -> MemoryNeed:
    """Return what all of these take at once; what has the same name and place is added up."""
    sums: dict[Part, int] = {}
    for part in (part for need in needs for part in need.parts):
        key = replace(part, size_bytes=0)
        sums[key] = sums.get(key, 0) + part.size_bytes
    return MemoryNeed(tuple(replace(k, size_bytes=size) for k, size in sums.items() if size))
