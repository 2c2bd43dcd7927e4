"""How far weights have come that are being pulled.

Owns: the sums, and the words for them. Must not: fetch anything.
"""

from dataclasses import dataclass

from engines.memory import in_words


@dataclass(slots=True)
class Coming:
    """Mutable; owned by the task that pulls. `begun_bytes` were here when it began at `since_s`."""

    since_s: float
    size_bytes: int | None = None
    here_bytes: int = 0
    begun_bytes: int | None = None

    def reaches(self, here_bytes: int, size_bytes: int | None) -> None:
        """Note how much is here."""
        if self.begun_bytes is None:
            self.begun_bytes = here_bytes
        self.here_bytes, self.size_bytes = here_bytes, size_bytes

    def left_s(self, now_s: float) -> float | None:
        """Return about how long the rest takes, None while nobody can tell."""
        came = self.here_bytes - (self.begun_bytes or 0)
        if self.size_bytes is None or came <= 0 or now_s <= self.since_s:
            return None
        return (self.size_bytes - self.here_bytes) * (now_s - self.since_s) / came

    def in_words(self) -> str:
        """Return how far it is, for people."""
        if self.size_bytes is None:
            return f"{in_words(self.here_bytes)} here" if self.here_bytes else ""
        return f"{in_words(self.here_bytes)} of {in_words(self.size_bytes)} here"
