"""What the bytes of a file must come to.

Owns: the two digests that a hub tells: sha256 of large files, git's own of small ones.
Must not: read files.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

_HEX = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Digest(Protocol):
    """A digest that is being made."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return it as hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Check:
    """One of the two; its value names the file in the cache too.

    Raises:
        ValueError: it is no digest; it must not become a path.
    """

    sha256: str = ""
    git_blob: str = ""

    def __post_init__(self) -> None:
        if _HEX.fullmatch(self.wanted) is None:
            raise ValueError(f"{self.wanted!r} is no digest")

    @property
    def wanted(self) -> str:
        """The digest."""
        return self.sha256 or self.git_blob

    def begin(self, size_bytes: int) -> Digest:
        """Return the digest of no bytes yet, of a file that will have so many."""
        if self.sha256:
            return hashlib.sha256()
        blob = hashlib.sha1(usedforsecurity=False)  # git's choice
        blob.update(b"blob %d\0" % size_bytes)
        return blob
