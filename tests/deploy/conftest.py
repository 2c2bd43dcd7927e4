"""Where the files are, and the tools that judge them."""

from pathlib import Path

import pytest

from tests.support.programs import program

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def deploy() -> Path:
    return ROOT / "deploy"


@pytest.fixture
def promtool() -> str:
    """Prometheus's own checker."""
    return program("promtool", "prometheus")
