"""The connections of all workers, counted as one: `max_connections` is the limit of all together.

Owns: a page of memory that the processes share, and the lock on it.
Must not: accept or refuse anybody.
"""

import contextlib
import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator

_BYTES = 8


class Places:
    """The parent's side: one count for each worker, in a file without a name."""

    def __init__(self, workers: int) -> None:
        with tempfile.TemporaryFile() as file:
            self.descriptor = os.dup(file.fileno())
        os.ftruncate(self.descriptor, workers * _BYTES)
        self._counts = memoryview(mmap.mmap(self.descriptor, workers * _BYTES)).cast("q")

    def total(self) -> int:
        """Return how many connections there are."""
        return sum(self._counts)

    def vacate(self, worker: int) -> None:
        """Take back the connections of a worker that is gone."""
        with _locked(self.descriptor):
            self._counts[worker] = 0


class Place:
    """A worker's side, on the inherited descriptor: a `gateway.wire.Census`."""

    def __init__(self, descriptor: int, worker: int) -> None:
        self._descriptor = descriptor
        self._worker = worker
        size = os.fstat(descriptor).st_size
        self._counts = memoryview(mmap.mmap(descriptor, size)).cast("q")

    def came(self) -> int:
        """Count one more; return how many there are now."""
        with _locked(self._descriptor):
            self._counts[self._worker] += 1
            return sum(self._counts)

    def went(self) -> None:
        """Count one less."""
        with _locked(self._descriptor):
            self._counts[self._worker] -= 1


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Keep the other processes out; the system lets go for one that is killed."""
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)
