"""Where the files are, and the tools that judge them."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def deploy() -> Path:
    return ROOT / "deploy"


@pytest.fixture
def promtool() -> str:
    """Prometheus's own checker; a machine without it skips, unless it is CI."""
    found = shutil.which("promtool")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("promtool is not installed; CI must have it: apt-get install prometheus")
    if found is None:
        pytest.skip("promtool is not installed; Debian, Ubuntu: apt-get install prometheus")
    return found
