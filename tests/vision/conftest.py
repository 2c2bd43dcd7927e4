"""libmtmd and two tiny models that see: there, or the tests that need them say so."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.families.toy_files import write_toy
from tools.families.toy_sights import TOY_SIGHTS, write_sight
from tools.families.toys import TOYS
from tools.setup.mtmd import LIBRARY, installed, place

MTMD_VARIABLE = "MTMD_CPP_LIB"


@pytest.fixture(scope="session")
def eyes() -> Iterator[None]:
    """Let llama-cpp-python find libmtmd; without it the test skips, and fails in CI."""
    if os.environ.get(MTMD_VARIABLE) or (installed() / LIBRARY).exists():
        yield
        return
    if not (place() / LIBRARY).exists():
        why = "libmtmd is not here; run: python -m tools.setup.mtmd"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{why}; CI must have it")
        pytest.skip(why)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MTMD_VARIABLE, str(place()))
        yield


@pytest.fixture(scope="session")
def toys(eyes: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """A folder with `qwen2vl.gguf`, `gemma3.gguf`, and their projectors `mmproj-*.gguf`."""
    folder = tmp_path_factory.mktemp("toys")
    for sight in TOY_SIGHTS:
        toy = next(toy for toy in TOYS if toy.name == sight.toy)
        write_toy(toy, folder / f"{toy.name}.gguf")
        write_sight(sight, folder / f"mmproj-{toy.name}.gguf")
    return folder
