"""How long loads took, remembered beyond the gateway's own life.

Owns: one small file. Must not: fail anybody: what cannot be read or kept is learnt again.
"""

import contextlib
import os
from pathlib import Path

import msgspec

_FILE = "load-times.json"
_MOST = 500
_TIMES = msgspec.json.Decoder(dict[str, float])


class LoadTimes:
    """Seconds by mark (`Residence.mark`). Without a folder nothing outlives the process."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / _FILE
        self._known: dict[str, float] | None = None

    def known_s(self, mark: str) -> float | None:
        """Return how long the last load took, None where nobody knows."""
        return self._all().get(mark)

    def learn(self, mark: str, load_s: float) -> None:
        """Keep how long a load took."""
        known = self._all()
        known.pop(mark, None)
        known[mark] = round(load_s, 3)
        while len(known) > _MOST:
            del known[next(iter(known))]
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_suffix(f".{os.getpid()}")
            part.write_bytes(msgspec.json.encode(known))
            part.replace(self._path)

    def _all(self) -> dict[str, float]:
        if self._known is None:
            self._known = {}
            if self._path is not None:
                with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                    self._known = _TIMES.decode(self._path.read_bytes())
        return self._known
