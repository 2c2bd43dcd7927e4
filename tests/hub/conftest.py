"""A store in a folder of the test's own, and what a pull is told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from engines.hub.pulling import web_client
from engines.weights.store import Store


@dataclass
class Told:
    """A teller that remembers, and the pauses between tries."""

    begun: list[tuple[str, int | None, int]] = field(default_factory=list)
    came: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    paused_s: list[float] = field(default_factory=list)
    says_too: Callable[[], None] = lambda: None

    def begins(self, name: str, size_bytes: int | None, here_bytes: int) -> None:
        self.begun.append((name, size_bytes, here_bytes))

    def here(self, here_bytes: int) -> None:
        self.came.append(here_bytes)

    def says(self, text: str) -> None:
        self.said.append(text)
        self.says_too()

    def pause(self, seconds: float) -> None:
        self.paused_s.append(seconds)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "hub", tmp_path / "own")


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with web_client() as client:
        yield client
