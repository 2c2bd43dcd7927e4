"""What the wheel carries, and that it serves outside a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("weighbridge-*-py3-none-any.whl"))


def test_the_wheel_carries_what_the_packages_read_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in (
        "gateway/routing.yaml",
        "gateway/py.typed",
        "engines/py.typed",
        "engines/demo/qwen.gguf",
        "engines/demo/coder.gguf",
        "engines/demo/llama.gguf",
        "engines/families/data/licences.toml",
    ):
        assert wanted in names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gateway", "engines"}


def test_the_wheel_checks_its_own_demo_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """The command runs from the wheel's files alone, without a configuration of its own."""
    site, folder = tmp_path / "site", tmp_path / "empty"
    folder.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    program = "import sys; from gateway.cli import main; import gateway; print(gateway.__file__); "
    ran = subprocess.run(
        [sys.executable, "-P", "-c", program + "main(['check'])"],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith("WEIGHBRIDGE_")}
        | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert str(site) in ran.stdout
    assert "demo-llama" in ran.stdout
