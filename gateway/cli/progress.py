"""How far a file has come: one line that is written over on a terminal, else a line now and then.

Owns: the words and the pace. Must not: fetch anything.
"""

import time
from collections.abc import Callable

import click

from engines.hub.words import gigabytes

_TERMINAL_S = 0.2
_LINES_S = 30.0
_SHARE = 0.1
_WINDOW_S = 5.0
_BAR = 24
_WIDTH = 100


class Progress:
    """Tells of one pull (`engines.hub.transfer.Teller`).

    `write` gets whole pieces of text; `is_terminal` says whether a line may be written over.
    """

    def __init__(
        self,
        *,
        is_terminal: bool,
        write: Callable[[str], None] = lambda text: click.echo(text, nl=False, err=True),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_terminal = is_terminal
        self._write = write
        self._clock = clock
        self._name = ""
        self._size_bytes: int | None = None
        self._here_bytes = 0
        self._told_s = 0.0
        self._told_bytes = 0
        self._marks: list[tuple[float, int]] = []
        self._is_open = False

    def begins(self, name: str, size_bytes: int | None, here_bytes: int) -> None:
        """Say that a file begins, and how much of it is here from before."""
        self.ends()
        self._name, self._size_bytes, self._here_bytes = name, size_bytes, here_bytes
        self._marks = [(self._clock(), here_bytes)]
        self._tell()

    def here(self, here_bytes: int) -> None:
        """Note how much is here; say it when it is time."""
        now = self._clock()
        self._here_bytes = here_bytes
        if here_bytes < self._marks[-1][1]:
            self._marks = [(now, here_bytes)]
        if here_bytes == self._size_bytes or self._is_due(now):
            self._marks.append((now, here_bytes))
            while len(self._marks) > 2 and self._marks[1][0] < now - _WINDOW_S:
                self._marks.pop(0)
            self._tell()

    def says(self, text: str) -> None:
        """Say something on a line of its own."""
        self.ends()
        self._write(f"{text}\n")

    def ends(self) -> None:
        """End the line that was being written over."""
        if self._is_open:
            self._write("\n")
            self._is_open = False

    def _is_due(self, now: float) -> bool:
        since_s = now - self._told_s
        if self._is_terminal:
            return since_s >= _TERMINAL_S
        step = self._size_bytes is not None and (
            self._here_bytes - self._told_bytes >= self._size_bytes * _SHARE
        )
        return step or since_s >= _LINES_S

    def _tell(self) -> None:
        self._told_s, self._told_bytes = self._clock(), self._here_bytes
        if not self._is_terminal:
            self._write(f"{self._name}: {self._figures()}\n")
            return
        share = self._here_bytes / self._size_bytes if self._size_bytes else 0.0
        full = round(share * _BAR)
        line = f"{self._name} [{'#' * full}{'.' * (_BAR - full)}] {self._figures()}"
        self._write(f"\r{line[:_WIDTH]:<{_WIDTH}}")
        self._is_open = True

    def _figures(self) -> str:
        if self._size_bytes is None:
            return gigabytes(self._here_bytes)
        share = self._here_bytes / self._size_bytes if self._size_bytes else 1.0
        text = f"{share:.0%} of {gigabytes(self._size_bytes)}"
        rate = self._rate()
        if not rate or self._here_bytes == self._size_bytes:
            return text
        left_s = (self._size_bytes - self._here_bytes) / rate
        return f"{text}, {gigabytes(round(rate))}/s, {_minutes(left_s)} left"

    def _rate(self) -> float:
        """Return bytes a second over the last seconds; 0 where nobody can tell yet."""
        (first_s, first), (last_s, last) = self._marks[0], self._marks[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {whole % 60:02} s"
