"""Programs that some tests run beside the gateway."""

import os
import shutil

import pytest

# Where servers lie on Debian and on macOS, though users' paths may not name it.
_ALSO = "/usr/sbin:/usr/local/bin:/opt/homebrew/bin"


def program(name: str, package: str) -> str:
    """Return where a program is; without it the test skips, and fails in CI."""
    found = shutil.which(name) or shutil.which(name, path=_ALSO)
    if found is not None:
        return found
    why = f"{name} is not installed; Debian, Ubuntu: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{why}; CI must have it")
    pytest.skip(why)
