"""What llama.cpp's makers publish: there, or the tests that need it say so."""

import os
import platform
from pathlib import Path

import pytest

from tools.families.fetch_sdist import place


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of vocabularies and templates; without it the test skips, and fails in CI."""
    folder = place(os.environ, platform.system())
    if folder.is_dir():
        return folder
    why = "llama.cpp's vocabularies are not here; run: python -m tools.families.fetch_sdist"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{why}; CI must have them")
    pytest.skip(why)
