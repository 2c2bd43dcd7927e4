"""Tests against real vLLM: only `make test-vllm` runs them, which makes the environment first."""

from pathlib import Path

import pytest

from tests.support.vllm import make_toys, vllm_venv

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests elsewhere, all with one reason; vLLM may take long to start."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(400))
            if vllm_venv() is None:
                item.add_marker(pytest.mark.skip("real vLLM is tested by: make test-vllm"))


@pytest.fixture(scope="session")
def venv() -> Path:
    """The environment that has vLLM."""
    found = vllm_venv()
    assert found is not None
    return found


@pytest.fixture(scope="session")
def toys(venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny models."""
    folder = tmp_path_factory.mktemp("toys")
    make_toys(venv, folder)
    return folder
