"""How long loads took, remembered beyond the gateway's own life.

Owns: where that is kept. Must not: know how it is.
"""

from pathlib import Path

from engines.memory.kept import Kept

_FILE = "load-times.json"


class LoadTimes:
    """Seconds by mark (`Residence.mark`). Without a folder nothing outlives the process."""

    def __init__(self, folder: Path | None) -> None:
        self._kept = Kept(None if folder is None else folder / _FILE, dict[str, float])

    def known_s(self, mark: str) -> float | None:
        """Return how long the last load took, None where nobody knows."""
        return self._kept.get(mark)

    def learn(self, mark: str, load_s: float) -> None:
        """Keep how long a load took."""
        self._kept.put(mark, round(load_s, 3))
