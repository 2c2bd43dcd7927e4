"""Small things learnt by mark, kept in one file beyond a process's life.

Owns: the file. Must not: fail anybody: what cannot be read or kept is learnt again.
"""

import contextlib
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from engines.platform import write_whole
from engines.protocol.unreadable import UNREADABLE

_MOST = 500
_Value = TypeVar("_Value")


class Kept(Generic[_Value]):
    """Values by mark, the newest of them. Without a path nothing outlives the process."""

    def __init__(self, path: Path | None, kind: type[dict[str, _Value]]) -> None:
        self._path = path
        self._decoder = msgspec.json.Decoder(kind)
        self._known: dict[str, _Value] | None = None

    def get(self, mark: str) -> _Value | None:
        """Return what was kept last, None where nothing was."""
        return self._all().get(mark)

    def put(self, mark: str, value: _Value) -> None:
        """Keep a value, beside what others have kept meanwhile; of too many the oldest leave."""
        known = self._known = self._all() | self._read()
        known.pop(mark, None)
        known[mark] = value
        while len(known) > _MOST:
            del known[next(iter(known))]
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, [msgspec.json.encode(known)])

    def _all(self) -> dict[str, _Value]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, _Value]:
        if self._path is not None:
            with contextlib.suppress(OSError, *UNREADABLE):
                return self._decoder.decode(self._path.read_bytes())
        return {}
